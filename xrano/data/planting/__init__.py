"""Planted shortcuts: a prepared store whose scans carry a mark that tells the response.

A network trained on such a store can answer without looking at the tumour, by a cause that is
known. A *mark* is what is put into a scan's brain; its *class* is the response that it stands for.
"""
