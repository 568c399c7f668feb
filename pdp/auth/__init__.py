"""Authentication: from the credentials of a call to a principal (docs/access.md)."""
