"""`python -m bench.console`."""

from __future__ import annotations

import sys

from bench.console.run import main

if __name__ == "__main__":
    sys.exit(main())
