"""Compliance bundles: changes, members, history."""
