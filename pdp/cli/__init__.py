"""The `pdp` command.

`commands/` has the options and help of each command, and `run/` the code that it runs. To start
fast, a command loads its code only when it runs, typer only if there are options to parse, and rich
only to draw on a terminal.
"""
