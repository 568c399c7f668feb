"""Alerts: messages to a tenant's webhooks about decisions that match its alert rules."""
