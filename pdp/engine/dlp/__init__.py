"""DLP rules and entities: detectors, named entities, the caller's own entities."""
