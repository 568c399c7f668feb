"""Decisions by the policies of another server, without asking it (docs/following.md).

A follower receives the policies of the tenants that it is asked about, and their changes, over
`PolicyService.Watch`. It keeps them in memory and on disk, decides by them, and reports the records
of its decisions. What it cannot decide by itself raises `ServerNeeded`: the server must be asked.
"""
