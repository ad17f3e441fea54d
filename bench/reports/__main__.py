"""`python -m bench.reports`."""

from __future__ import annotations

import sys

from bench.reports.run import main

if __name__ == "__main__":
    sys.exit(main())
