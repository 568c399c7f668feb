"""The server: its parts, put together, on its ports, in one process or several."""
