"""SIEM connectors: one file a product, behind the protocol of `base`; `registry` knows them all."""
