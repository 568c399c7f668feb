"""DLP rules: administration, version history, export and import."""
