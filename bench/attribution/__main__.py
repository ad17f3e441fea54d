"""`python -m bench.attribution`."""

from __future__ import annotations

import sys

from bench.attribution.run import main

if __name__ == "__main__":
    sys.exit(main())
