"""How good predictions are, and whether one arm of a study is better than another.

Terms: an ``arm`` is one way to rate pairs (a network, a rule, the majority class) with its table of
out-of-fold predictions; a table may hold several ``seeds`` of an arm, and every statistic is then
the mean over the seeds. Intervals come from resampling whole patients and are conditional on the
trained models: they say nothing about training again, which is why seeds are shown beside them.

* :mod:`~xrano.evaluation.predictions`: a table of predictions, checked, as arrays.
* :mod:`~xrano.evaluation.classification`: scores of a confusion matrix, one or thousands at once.
* :mod:`~xrano.evaluation.ranking`: AUROC and average precision of a class against the rest.
* :mod:`~xrano.evaluation.calibration`: whether a stated probability is kept.
* :mod:`~xrano.evaluation.estimates`: a value with its interval.
* :mod:`~xrano.evaluation.evaluate`: all of these for one arm.
* :mod:`~xrano.evaluation.paired`: several arms on the pairs that they share.
* :mod:`~xrano.evaluation.comparison`: an arm against its reference, with a verdict.
* :mod:`~xrano.evaluation.leak`: what grouping and selection on the test fold add.
* :mod:`~xrano.evaluation.text`: these as tables for a terminal or Markdown.
"""
