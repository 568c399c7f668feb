"""A tenant's policies as one YAML file, for git: out of the database, and back into it."""
