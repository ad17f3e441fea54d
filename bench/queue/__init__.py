"""The queue beside its peers: `python -m bench.queue --help`."""
