"""`python -m bench.queue`."""

from __future__ import annotations

import sys

from bench.queue.run import main

if __name__ == "__main__":
    sys.exit(main())
