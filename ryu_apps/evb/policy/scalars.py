"""Text of YAML scalars to values, by the core schema (YAML 1.2, 10.3.2).

Two of its notations stay text: a number with a leading zero, which was octal in YAML 1.1, and the infinities and NaN,
which no key takes.
"""

from __future__ import annotations

import re

#: What a tag may call a scalar; timestamps and the like stay text.
KINDS = frozenset(("null", "bool", "int", "float", "str", "timestamp", "merge", "value"))

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WORDS: dict[str, bool | None] = {**dict.fromkeys(("", "~", "null", "Null", "NULL")), **_BOOLEANS}
#: What a number begins with.
_NUMERIC = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o[0-7]+)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?\Z|[-+]?[0-9]+[eE][-+]?[0-9]+\Z")

Scalar = str | int | float | bool | None


def plain(text: str) -> Scalar:
    """The value of a scalar without quotes and tag."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INT.match(text):
        return int(text, 0)
    return float(text) if _FLOAT.match(text) else text


def tagged(kind: str, text: str) -> Scalar:
    """The value of a scalar of one of :data:`KINDS`; text that the kind does not have stays text."""
    if kind == "null":
        return None
    if kind == "bool":
        return _BOOLEANS.get(text, text)
    if kind == "int" and _INT.match(text):
        return int(text, 0)
    return float(text) if kind == "float" and (_FLOAT.match(text) or _INT.match(text)) else text
