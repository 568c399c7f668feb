"""Options that commands share: dataclasses whose fields are typer options.

`pdp.cli.options.spread` turns a command that takes such dataclasses into one that typer can read.
"""
