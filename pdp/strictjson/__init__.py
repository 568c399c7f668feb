"""JSON text, read strictly: names once in an object, numbers in range, whole characters."""
