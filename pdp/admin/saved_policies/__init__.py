"""Policies in files, for the time when the store cannot be read (docs/saved-policies.md)."""
