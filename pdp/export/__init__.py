"""Exports to other systems: the spool, deliveries, OCSF events, SIEM connectors, and alerts."""
