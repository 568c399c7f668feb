"""Frozen values that all packages use: requests, findings, verdicts, decisions, policies."""
