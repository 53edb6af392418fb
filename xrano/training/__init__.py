"""Training a network on a prepared store, and judging it on patients it never saw."""
