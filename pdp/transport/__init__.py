"""The way in: one chain of guards around transport-neutral handlers; gRPC and HTTP adapt to it."""
