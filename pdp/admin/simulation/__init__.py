"""Simulation: candidate policies and dry runs. Nothing is written."""
