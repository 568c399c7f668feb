"""Backups of the database of policies: one file, verified, encrypted on request."""
