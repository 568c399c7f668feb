"""The store: a port, and its backends. Only `admin` and `app` use it; decisions never do."""
