"""DLP rules: the detectors, the named entities and the caller entities that they find."""
