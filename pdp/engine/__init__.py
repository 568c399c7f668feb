"""The engine: compile, scan, evaluate, combine. Pure: no I/O, no clock but the request's."""
