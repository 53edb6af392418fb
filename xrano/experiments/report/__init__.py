"""The report of a run: what lies beside it is found, read, put into words and drawn."""
