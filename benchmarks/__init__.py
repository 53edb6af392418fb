"""Measured side by side in one run: ``python -m benchmarks.NAME``. Times are quoted as ratios."""
