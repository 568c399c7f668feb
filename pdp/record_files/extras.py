"""Checks that the packages of an extra are installed, before anything else is done."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from pdp.errors import ConfigError

_PACKAGES: Final = {
    "parquet": {"pyarrow": "PyArrow", "fsspec": "fsspec"},
    "spark": {"pyspark": "PySpark", "pandas": "pandas", "pyarrow": "PyArrow", "fsspec": "fsspec"},
}


def require_extra(extra: str) -> None:
    """Checks that the packages of `parquet` or `spark` can be imported.

    Raises:
        ConfigError: one of them is missing; the message has the command that installs them.
    """
    missing = [name for module, name in _PACKAGES[extra].items() if find_spec(module) is None]
    if missing:
        raise ConfigError(f"this needs {' and '.join(missing)}: pip install 'pdp[{extra}]'")
