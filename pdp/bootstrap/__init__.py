"""What every process sets up before it can decide: the policies and the recording of decisions."""
