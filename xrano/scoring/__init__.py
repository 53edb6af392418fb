"""Maps and masks to tidy rows, and rows to the primary analysis.

* :mod:`~xrano.scoring.pair_masks`: the masks of a pair: segmentations, regions, scopes.
* :mod:`~xrano.scoring.rows`: one map against every mask of its pair.
* :mod:`~xrano.scoring.score_table`: the rows as a table and a CSV file.
* :mod:`~xrano.scoring.reference_maps`: maps that need no network, to compare with.
* :mod:`~xrano.scoring.summary`: the primary analysis, per response and method.
* :mod:`~xrano.scoring.summary_text`: the same as text for a terminal.
"""
