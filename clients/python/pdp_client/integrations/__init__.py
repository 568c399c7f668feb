"""Connections to other packages. Import the module that you need; none imports another package."""
