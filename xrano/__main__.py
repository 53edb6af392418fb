"""``python -m xrano``: the command line, where no script of that name is on the path."""

import sys

from xrano.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
