"""Format of log lines: time, component, level and message, or JSON.  Where the journal adds the time, text has none."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

#: The variable with the format, and its values.
FORMAT, TEXT, JSON = "EVBRIDGE_LOG_FORMAT", "text", "json"


class FormatError(Exception):
    """There is no such format."""


class Text(logging.Formatter):
    """Text: time in ISO 8601 with milliseconds and the offset from UTC, component, level and message.

    Args:
        timed: lines begin with the time.
    """

    def __init__(self, timed: bool) -> None:
        super().__init__(("%(asctime)s " if timed else "") + "%(name)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """As of the base class."""
        return _time(record)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, component, level, message, the fields of an event, and the stack of an exception.

    Who logs an event gives the record an attribute ``event``: a function that returns its fields.
    """

    def format(self, record: logging.LogRecord) -> str:
        """As of the base class."""
        line: dict[str, object] = {
            "time": _time(record),
            "component": record.name,
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if event := getattr(record, "event", None):
            line["event"] = event()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def format_lines(logger: logging.Logger, environment: Mapping[str, str] = os.environ) -> None:
    """Have every handler of a logger that has no format yet write lines in the format of the environment.

    Raises:
        FormatError: there is no such format.
    """
    chosen = environment.get(FORMAT, TEXT)
    if chosen not in (TEXT, JSON):
        raise FormatError(f"{FORMAT}={chosen}: {TEXT} or {JSON} was expected")
    for handler in logger.handlers:
        if handler.formatter is None:
            timed = not _is_timed(handler, environment)
            handler.setFormatter(JsonLines() if chosen == JSON else Text(timed))


def log_to_stderr(environment: Mapping[str, str] = os.environ) -> None:
    """Have a daemon without Ryu log to its standard error, from INFO on, in the format of the environment.

    Raises:
        FormatError: there is no such format.
    """
    logger = logging.getLogger()
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)
    format_lines(logger, environment)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


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
