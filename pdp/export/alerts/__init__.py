"""Alerts: which decisions a tenant wants to be told of, and how it is (seed 000)."""
