"""Counters of limits that all replicas share, in Valkey or Redis (docs/decide.md, Limits).

`SharedMeter` is what the decider calls. It asks through `SharedCounters`, which keeps one
connection (`Link`) and runs one script (`counters.lua`) for each request. While the server cannot
be asked, `LocalCounters` counts, and a `Journal` keeps what the server must add later.
"""
