"""The `pdp` command, one file a command. typer is loaded when there is something to parse, rich
only to draw on a terminal, and what a command works with only when it runs.
"""
