"""Counts what users and groups use, in memory, and keeps it in step with the store."""
