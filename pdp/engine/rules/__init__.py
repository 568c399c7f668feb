"""Compiled rules: policy chains, conditions of pack rules, customer policies, the model catalog."""
