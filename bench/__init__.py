"""Measurements. Nothing here is part of the product, which never imports it."""
