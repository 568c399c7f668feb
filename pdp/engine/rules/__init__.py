"""Compiled rules: chains, conditions of pack rules, customer policies, models."""
