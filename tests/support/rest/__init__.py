"""Calls of the REST API, one file for each policy system."""
