"""The server: builds its parts and runs them, in one process or several."""
