"""From tables to a prepared store: placing, registering, moving and measuring sessions."""
