"""Readers of cohorts as they lie on disk: each gives a sessions and a segmentations table."""
