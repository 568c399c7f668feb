"""Decision records in Parquet files: written from the log, read for queries and replays, verified.

`docs/parquet.md` describes the layout. PyArrow and fsspec are an extra; no server imports this.
"""
