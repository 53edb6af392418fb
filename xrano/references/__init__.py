"""What a user would pick instead of a network: majority, RANO rules, and models on volumes.

All of them give the predictions table of a network, pair by pair, from the training pairs of the
fold and the scans up to the pair's own: never from a later scan, nor from another rating.
"""
