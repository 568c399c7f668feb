"""The HTTP JSON shim: every route comes from a `google.api.http` annotation in the contracts."""
