"""Decision records: one queue of them, and what consumes it: the store, exporters, alerts."""
