"""Reader of JSON messages for ``ovs.jsonrpc``, by the parser of Python's library.

The parser of ``ovs.json`` reads character by character where its extension in C is missing, as it is in the package on
PyPI: 8,000 records take two seconds, in which the event loop does nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any

import ovs.json

#: What opens or closes something; a backslash has the next character with it.
_MARK = re.compile(r'"|\\.?|[{}\[\]]', re.DOTALL)


class JsonReader:
    """One message, fed in pieces: the interface of ``ovs.json.Parser``."""

    def __init__(self, check_trailer: bool = False) -> None:
        self._pieces: list[str] = []
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._done = False

    def feed(self, text: str) -> int:
        """Take text; returns the number of characters that belong to the message."""
        begin = 1 if self._escaped and text else 0
        self._escaped = self._escaped and not text
        for mark in _MARK.finditer(text, begin):
            self._take(mark.group())
            if self._done:
                self._pieces.append(text[: mark.end()])
                return mark.end()
        self._pieces.append(text)
        return len(text)

    def is_done(self) -> bool:
        """Return True if the message is complete."""
        return self._done

    def finish(self) -> Any:
        """Return the value; a string says that it is not JSON."""
        try:
            return json.loads("".join(self._pieces))
        except ValueError as error:
            return f"no JSON: {error}"

    def _take(self, mark: str) -> None:
        if mark == "\\":
            self._escaped = True
        elif mark == '"':
            self._in_string = not self._in_string
        elif not self._in_string and mark in "{[":
            self._depth += 1
        elif not self._in_string and mark in "}]":
            self._depth -= 1
            self._done = self._depth <= 0


def install() -> None:
    """Have ``ovs.jsonrpc`` read messages by this reader."""
    if ovs.json.PARSER != ovs.json.PARSER_C:
        ovs.json.Parser = JsonReader
