"""The code that the commands run, one file each, with the name of the command."""
