"""Detectors: what a hit of a pattern must still satisfy before it counts as a finding."""
