"""Administration of policies: one module or folder for each policy system.

Each use case validates its input, writes to the store, compiles the policies, commits the
transaction and publishes the snapshot. `workspace.py` runs them.
"""
