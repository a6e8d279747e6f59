"""YAML text of values on one line of evbridge.yaml."""

from __future__ import annotations

import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9_./-]*\Z")
_NOT_TEXT = {"true", "false", "null"}


def flow_map(parts: dict[str, Any]) -> str:
    """A mapping whose values are YAML text already."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in parts.items()) + "}"


def flow_list(parts: list[str]) -> str:
    """A list of YAML texts."""
    return f"[{', '.join(parts)}]"


def quoted(text: str) -> str:
    """A text, in quotation marks if YAML would read it as another type."""
    if _PLAIN.match(text) and text.lower() not in _NOT_TEXT and not text.startswith(".."):
        return text
    inner = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in text
    )
    return f'"{inner}"'
