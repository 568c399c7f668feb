"""Use cases, one file a resource: validate, write, compile, commit, publish."""
