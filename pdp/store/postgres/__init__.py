"""The store in a PostgreSQL database, which replicas share. An extra: `postgres`."""
