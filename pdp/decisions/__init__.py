"""Deciding: snapshot, limits, named entities, evaluate, settle, record."""
