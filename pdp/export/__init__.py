"""What leaves the server: the spool, its delivery, OCSF events, SIEM connectors, alerts."""
