"""Lines of the log as JSON: fields of an event, the stack of an exception, and one line each."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import datetime
from typing import Any

import pytest

from ryu_apps.evb.event_catalogue.switches import SwitchAwaited
from ryu_apps.event_log import log_event
from ryu_apps.process.logs import FORMAT, FormatError, format_lines


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    """A logger without a parent, and what it writes."""
    written = io.StringIO()
    logger = logging.Logger("bridge", logging.INFO)
    logger.addHandler(logging.StreamHandler(written))
    format_lines(logger, {FORMAT: "json"})
    return logger, written


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_has_time_component_level_and_message(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.warning("two\nlines of %s", "text")
    logger.debug("unsaid")
    (line,) = lines(written)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {"component": "bridge", "level": "warning", "message": "two\nlines of text"}


def test_an_exception_has_its_stack(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logger.exception("failed")
    (line,) = lines(written)
    assert (line["message"], line["level"]) == ("failed", "error")
    assert line["exception"].startswith("Traceback") and line["exception"].endswith("RuntimeError: broken")


def test_an_event_has_its_fields(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    log_event(logger, SwitchAwaited(1))
    (line,) = lines(written)
    assert line["message"] == "switch.awaited 0000000000000001"
    assert line["event"] == {
        "kind": "switch.awaited",
        "dpid": "0000000000000001",
        "port": None,
        "vsi": None,
        "detail": {},
    }


def test_a_format_that_a_handler_has_is_kept_and_another_is_refused() -> None:
    logger, handler = logging.Logger("bridge"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(own := logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    format_lines(logger, {FORMAT: "json"})
    assert handler.formatter is own
    with pytest.raises(FormatError, match="EVBRIDGE_LOG_FORMAT=xml: text or json was expected"):
        format_lines(logger, {FORMAT: "xml"})
