"""Settings. Precedence: a flag, the environment (`PDP_*`), the file, the default."""

from pdp.config.addresses import is_loopback, split_address
from pdp.config.checks import check_auth, check_limits, check_own_counters
from pdp.config.loading import load
from pdp.config.settings import Settings
from pdp.config.values import LogLevel

__all__ = [
    "LogLevel",
    "Settings",
    "check_auth",
    "check_limits",
    "check_own_counters",
    "is_loopback",
    "load",
    "split_address",
]
