"""The commands, one file each: options and help. What a command runs is in cli/run."""
