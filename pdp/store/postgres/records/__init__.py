"""The log of decision records in a PostgreSQL database, to which all replicas append at once."""
