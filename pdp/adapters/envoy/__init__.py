"""Envoy asks for decisions in its own words: external authorization and processing."""
