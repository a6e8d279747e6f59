"""Versions of files that are read anew when they have changed."""

from __future__ import annotations

from pathlib import Path


def version_of(path: Path) -> tuple[int, int, int] | None:
    """Return a value that changes when a file is replaced or written; None: it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
