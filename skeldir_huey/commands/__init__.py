"""One file per command of `python -m skeldir_huey`: `add_arguments(parser)` and `run(args) -> exit code`."""
