"""Replays of the records of an export: by the processes of this host, or on a Spark cluster.

`pdp.decisions.replay` says what a replay of a record is. Here it is done for many, in parts that
can be interrupted. PyArrow, fsspec and PySpark are extras; no server imports this.
"""
