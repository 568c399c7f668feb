"""The commands, one file each: their options and help. `pdp.cli.run` has the code that they run."""
