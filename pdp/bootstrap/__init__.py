"""What every process needs before it can decide: the policies and the log of records."""
