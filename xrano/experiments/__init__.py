"""Whole runs made of studies: explain pairs into files, explain and score a cohort, the demo."""
