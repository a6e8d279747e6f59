"""Values as evbridge.yaml has them on one line."""

from __future__ import annotations

import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9_./-]*\Z")
_NOT_TEXT = {"true", "false", "null"}


def flow_map(parts: dict[str, Any]) -> str:
    """A mapping; its values are text of YAML already."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in parts.items()) + "}"


def flow_list(parts: list[str]) -> str:
    """A list of what is text of YAML already."""
    return f"[{', '.join(parts)}]"


def quoted(text: str) -> str:
    """A text, in quotation marks where it could be taken for something else."""
    if _PLAIN.match(text) and text.lower() not in _NOT_TEXT and not text.startswith(".."):
        return text
    inner = "".join(
        one if one.isascii() and one.isprintable() and one not in '"\\' else f"\\U{ord(one):08x}" for one in text
    )
    return f'"{inner}"'
