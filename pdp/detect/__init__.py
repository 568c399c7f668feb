"""Detection: validators that check matched values, and models that find named entities."""
