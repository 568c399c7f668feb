"""Use cases by policy system: validate, write, compile, commit, publish."""
