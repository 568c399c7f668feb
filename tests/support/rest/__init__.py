"""Calls of the JSON shim, one file a policy system."""
