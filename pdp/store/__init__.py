"""The store: its port, and one folder for each backend. Decisions never read it.

`open_store`, `open_audit_log` and `open_chain_reader` take a URL and choose the backend by its
scheme. No other package imports a backend.
"""

from pdp.store.opening import (
    default_audit_url,
    open_audit_log,
    open_chain_reader,
    open_store,
)

__all__ = ["default_audit_url", "open_audit_log", "open_chain_reader", "open_store"]
