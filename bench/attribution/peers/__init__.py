"""Other ways to make the same allocations."""
