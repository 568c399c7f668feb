"""Static policies and their overrides."""
