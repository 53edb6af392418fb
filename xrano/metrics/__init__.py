"""Numbers for where a map's relevance lies: pure functions of one map and one mask.

* :mod:`~xrano.metrics.ranked`: a map inside the brain, sorted once for any number of masks.
* :mod:`~xrano.metrics.catalogue`: the overlap metrics as a table, with their chance levels and when
  each is undefined.
* :mod:`~xrano.metrics.overlap`: the same as functions of a map and a mask.
* :mod:`~xrano.metrics.resolution`: what the mask itself scores when seen through coarse cells.
* :mod:`~xrano.metrics.bootstrap`: resampling of patients, and percentile intervals.
"""
