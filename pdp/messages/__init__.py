"""Conversion between the messages of the contracts and domain values, and their validation."""
