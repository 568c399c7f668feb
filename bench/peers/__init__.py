"""Compares the server with other decision points, side by side on one machine."""
