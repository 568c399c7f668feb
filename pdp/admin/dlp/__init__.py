"""DLP rules: the rules, their versions, export and import."""
