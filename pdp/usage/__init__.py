"""Usage counters of users and groups, in memory and in the store (docs/decide.md, Limits)."""
