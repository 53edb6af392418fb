"""Pictures: which slice to show, one panel a case, and the figure of the primary analysis.

Everything here reads :class:`~xrano.maps.AttributionMap` and tables, never a network. Figures are
plain :class:`matplotlib.figure.Figure` objects without pyplot's global state, so that nothing
needs a display or has to be closed.
"""
