"""SIEM connectors: one module per product. `base` has their protocol, `registry` lists them."""
