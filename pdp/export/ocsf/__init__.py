"""OCSF events: their schema, and the events of decisions and of admin changes."""
