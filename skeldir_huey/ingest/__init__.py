"""How events come in: read, checked, made the same shape, and written once, with what they make out of date."""
