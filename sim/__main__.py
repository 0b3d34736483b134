"""`python -m sim`: the command line."""

import sys

from model.program import end_cleanly_when_terminated
from sim.cli import main

if __name__ == "__main__":
    end_cleanly_when_terminated()
    sys.exit(main())
