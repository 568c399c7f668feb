"""Frozen values that all rooms speak of: requests, findings, verdicts, decisions, policies."""
