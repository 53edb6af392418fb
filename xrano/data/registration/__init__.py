"""Linear registration: where a scan lies relative to another, as (4, 4) matrices in RAS+ mm.

A *transform* takes world millimetres of one scan (or space) to those of another. Scans are not
resampled here: the matrices go before the affines of files, and voxels are interpolated once,
by :mod:`xrano.geometry`. ANTs does the work; it comes with the extra ``xrano[prepare]``.
"""
