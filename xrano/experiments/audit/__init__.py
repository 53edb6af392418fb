"""The control experiment: which scores tell networks that read the tumour from those that cheat."""
