"""gRPC and HTTP: one list of guards around transport-neutral handlers, and a server for each."""
