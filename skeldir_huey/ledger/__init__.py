"""Verified money: what the payment provider says, and its comparison with what is claimed and what was allocated."""
