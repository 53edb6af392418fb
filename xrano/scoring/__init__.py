"""Maps and masks to tidy rows, and rows to the primary analysis.

* :mod:`~xrano.scoring.pair_masks`: the masks of a pair: segmentations, regions, scopes.
* :mod:`~xrano.scoring.rows`: one map against every mask of its pair.
* :mod:`~xrano.scoring.tables`: every table of a scoring folder, one row a table.
* :mod:`~xrano.scoring.reference_maps`: maps that need no network, to compare with.
* :mod:`~xrano.scoring.summary`: the primary analysis, per response and method.
* :mod:`~xrano.scoring.exploratory`: everything else that the rows can tell.
* :mod:`~xrano.scoring.report`: what a report page needs of a folder, as ``report.json``.
"""
