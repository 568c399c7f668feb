"""What AI traffic looks like: the payloads of providers and protocols, and redactions in them."""
