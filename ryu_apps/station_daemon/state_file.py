"""The file that lets a service go on after its process has ended.

It is written by renaming, so that a reader finds a whole one, and not flushed to the disk: it has to outlive the
process, not the host, whose VMs end with it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_VERSION = 1


class StateFile:
    """A JSON file with the VSIs of the service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = path.with_name(path.name + ".new")

    def read(self) -> list[dict[str, Any]]:
        """The VSIs; none without a file.

        Raises:
            ValueError: not a file of this kind.
            OSError: it cannot be read.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        try:
            written = json.loads(text)
        except ValueError:
            written = None
        vsis = written.get("vsis") if isinstance(written, dict) and written.get("version") == _VERSION else None
        if not isinstance(vsis, list):
            raise ValueError(f"{self.path}: not a state file of this version")
        return vsis

    def write(self, vsis: list[dict[str, Any]]) -> None:
        """Replace the file; OSError if that fails."""
        descriptor = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, "vsis": vsis}, file)
        os.replace(self._new, self.path)
