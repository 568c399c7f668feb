"""`make demo`: Envoy in front of a chat API, with the PDP as its judge of requests and answers."""
