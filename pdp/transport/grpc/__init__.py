"""The gRPC adapter."""
