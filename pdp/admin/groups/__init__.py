"""User groups."""
