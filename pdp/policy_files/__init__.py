"""Export and import of a tenant's policies as one YAML file, for version control."""
