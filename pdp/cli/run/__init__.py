"""What the commands run, one file each, named like the command."""
