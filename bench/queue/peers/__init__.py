"""One face per peer: `install`, `enqueue`, perhaps `enqueue_bulk`, and what its consumer imports.

These run in the virtualenv of bench/requirements-peers.txt, so they import the standard library, their system, and
bench.queue.noop only.
"""
