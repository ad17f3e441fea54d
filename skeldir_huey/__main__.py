"""`python -m skeldir_huey`."""

import sys

from skeldir_huey.cli import main

sys.exit(main())
