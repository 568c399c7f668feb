"""Backups of a database: a single file, verified, and encrypted on request."""
