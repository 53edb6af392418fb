"""Numbers for where a map's relevance lies: pure functions of one map and one mask.

* :mod:`~xrano.metrics.ranked`: a map inside the brain, sorted once for any number of masks.
* :mod:`~xrano.metrics.places`: where a mask lies in the world, for distances in mm.
* :mod:`~xrano.metrics.formulas`, :mod:`~xrano.metrics.records`: the metrics, and one row for each.
* :mod:`~xrano.metrics.catalogue`: what each is, what chance scores, and when each is undefined.
* :mod:`~xrano.metrics.overlap`, :mod:`~xrano.metrics.thresholds`: functions of a map and a mask.
* :mod:`~xrano.metrics.resolution`: what the mask itself scores when seen through coarse cells.
* :mod:`~xrano.metrics.nulls`: z, percentile and p of a score beside its null.
* :mod:`~xrano.metrics.placement` with :mod:`~xrano.metrics.translations` and
  :mod:`~xrano.metrics.linear`: the mask everywhere else in the brain.
* :mod:`~xrano.metrics.shuffle`: other patients' masks.
* :mod:`~xrano.metrics.surrogates`: other maps, as smooth as this one.
* :mod:`~xrano.metrics.multiplicity`: many scores tested at once.
* :mod:`~xrano.metrics.null_calibration`: how often the nulls reject where there is nothing.
* :mod:`~xrano.metrics.lesions`: single lesions, matched between visits.
* :mod:`~xrano.metrics.bootstrap`: resampling of patients, and percentile intervals.
"""
