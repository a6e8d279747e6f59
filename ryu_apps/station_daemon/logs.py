"""Log of the daemon: lines with time, level and component on the standard error, as journald expects them."""

from __future__ import annotations

import logging


def log_to_stderr() -> None:
    """Write everything from INFO on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
