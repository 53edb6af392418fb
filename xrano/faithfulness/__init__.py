"""Does a map tell the truth about its network? Everything that has to ask the network again."""
