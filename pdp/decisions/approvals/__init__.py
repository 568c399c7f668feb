"""Requests that are held: approvals, confirmations, and the tokens that let them pass."""
