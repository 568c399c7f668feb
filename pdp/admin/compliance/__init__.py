"""Compliance bundles: administration, changes of their rules, version history."""
