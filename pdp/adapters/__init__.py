"""Enforcement points that ask for decisions in their own formats, one folder each."""
