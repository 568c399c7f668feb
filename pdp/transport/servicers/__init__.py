"""Servicers, one file for each service: convert the message, call, convert the result."""
