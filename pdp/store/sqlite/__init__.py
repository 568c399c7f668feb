"""The SQLite backend of the store and of the audit log."""
