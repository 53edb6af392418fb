"""The ``xrano`` command: one file a command, each a few lines over the library.

Command modules import nothing heavy when they are loaded, so that ``--help`` is immediate; each
offers ``run`` (whose signature is its options), and ``EXAMPLE`` for its help.
"""
