"""Policy files as text: block style outside, a rule on one line, in the order in which people look for things."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ryu_apps.evb.config.text import flow_list, flow_map, quoted

#: Beyond this a value is spread over lines, so that diffs stay readable.
_WIDTH = 120

#: Words, IPv4 addresses and networks, ranges: YAML reads these as strings without quotes.
_PLAIN = re.compile(
    r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*\Z|[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?\Z|[0-9]+-[0-9]+\Z"
)
#: Words that a reader of YAML 1.1 or 1.2 takes for something else.
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def policy_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a mapping; :func:`~ryu_apps.evb.policy.document.read_document` makes the same data of them.

    Args:
        data: mappings, lists and scalars as that function makes them.
    """
    for key, value in data.items():
        yield from _entry(scalar(key) + ":", value, "")


def scalar(value: Any) -> str:
    """One value as YAML, on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Mapping():
            return flow_map({scalar(key): scalar(item) for key, item in value.items()})
        case list():
            return flow_list([scalar(item) for item in value])
    return _text(value)


def _text(value: str) -> str:
    if _PLAIN.match(value) and value.lower() not in _NOT_TEXT:
        return value
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return quoted(value)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    line = f"{indent}{head} {scalar(value)}"
    spreads = isinstance(value, Mapping | list) and len(value) > 0
    if not spreads or (len(line) <= _WIDTH and not _holds_rules(value)):
        yield line
        return
    yield f"{indent}{head}"
    inner = indent + "  "
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(scalar(key) + ":", item, inner)
    else:
        for item in value:
            yield from _item(item, inner)


def _item(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and len(value) == 1:
        (key, one), *_ = value.items()
        first, *others = _entry(f"- {scalar(key)}:", one, indent)
        yield first
        yield from (f"  {line}" for line in others)
    else:
        yield f"{indent}- {scalar(value)}"


def _holds_rules(value: Any) -> bool:
    """ACLs are always spread, however short."""
    if isinstance(value, Mapping):
        return any(key == "rules" or _holds_rules(item) for key, item in value.items())
    return isinstance(value, list) and any(isinstance(item, Mapping) and "rule" in item for item in value)
