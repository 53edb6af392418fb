"""What a network learns before it is trained on responses."""
