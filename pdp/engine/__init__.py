"""The engine: compile, scan, evaluate, combine. Pure: no I/O, and no clock except the request's."""
