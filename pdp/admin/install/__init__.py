"""Installs the catalog that ships with the product into the store, and upgrades it."""
