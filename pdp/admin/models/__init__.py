"""The model catalog and the kill switch."""
