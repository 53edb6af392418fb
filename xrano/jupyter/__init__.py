"""The door for notebooks: a run, a pair, a figure and its controls in three lines."""
