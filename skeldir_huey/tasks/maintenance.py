"""Maintenance tasks with stable names. What they check grows with the retention and privacy work."""

from __future__ import annotations
