"""Texts: normalization, patterns, chunked search, locations and redaction."""
