"""Timestamps of log lines, left out where the journal adds its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import datetime
from typing import TextIO


class Stamped(logging.Formatter):
    """The time in ISO 8601 with milliseconds and the offset from UTC, and the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """As of the base class."""
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def stamp(logger: logging.Logger, environment: Mapping[str, str] = os.environ) -> None:
    """Have every handler of a logger that is as Ryu makes it write times."""
    for handler in logger.handlers:
        if handler.formatter is None and not _is_timed(handler, environment):
            handler.setFormatter(Stamped())


def _is_timed(handler: logging.Handler, environment: Mapping[str, str]) -> bool:
    """Return True if the reader of a handler's output adds the time itself."""
    if isinstance(handler, logging.FileHandler):
        return False
    return not isinstance(handler, logging.StreamHandler) or _is_journal(handler.stream, environment)


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return True if systemd has connected a stream to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
