"""Sessions to pairs: references, exclusions and their reasons, ratings by rule."""
