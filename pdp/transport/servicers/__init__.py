"""Servicers: convert, call, convert back. One file a service."""
