"""Logging: one line for each event on stderr, without keys and query strings."""

import logging
import sys
from typing import Final

_FORMAT: Final = "%(asctime)s %(levelname)s {role}: %(message)s"

# Their lines at INFO tell nothing that ours do not; httpx's would hold whole addresses.
_QUIET: Final = ("uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio", "sqlalchemy")


def configure(role: str) -> None:
    """Send everything from INFO on to stderr, with the process's role in each line."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=_FORMAT.format(role=role), force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # While a broker is away it writes 30 errors a second; our own lines say so once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
