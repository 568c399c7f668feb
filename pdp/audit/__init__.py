"""The log of decision records: write, read, verify, retain."""
