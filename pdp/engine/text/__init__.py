"""Texts: patterns, normalization, locations, redaction."""
