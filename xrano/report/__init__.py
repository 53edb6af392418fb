"""HTML pages that stand alone: one for a cohort, one for each case.

Pages are given words, tables, and pictures as bytes; nothing here reads a run or draws a figure.
"""
