"""Sessions, segmentations, pairs, splits and images: what a cohort is and how it is read.

A *session* is one visit of one patient with its images; a *pair* is two sessions of one patient,
``prior`` and ``current``, and the response that belongs to the current one. Tables are pandas
frames whose strings are never NaN (empty when missing); undefined numbers are NaN.
"""
