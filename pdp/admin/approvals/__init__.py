"""Approvals: opened and used by decisions, answered by people, closed when their time is over."""
