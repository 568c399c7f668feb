"""The HTTP server: it serves the RPCs at the paths of their `google.api.http` annotations."""
