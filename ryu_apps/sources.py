"""Reads the files that the pure loaders are fed with; a file that cannot be read is a diagnostic too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error, utf8

#: ``(file name, text)``, as the loaders want it.
Source = tuple[str, str]


def read_sources(paths: Iterable[Path]) -> tuple[list[Source], list[Diagnostic]]:
    """Read files and, in directories and all below them, every ``*.yaml`` in name order.

    Returns:
        what could be read, each file once, by whatever path, and a diagnostic for what could not.
    """
    sources: dict[Path, Source] = {}
    found: list[Diagnostic] = []
    for path in paths:
        files = _yaml_files(path) if path.is_dir() else [path]
        if not files:
            found.append(error(str(path), Position(), "no .yaml file in this directory"))
        for file in files:
            if file.resolve() in sources:
                continue
            try:
                text = utf8(str(file), file.read_bytes())
            except OSError as problem:
                text = error(str(file), Position(), problem.strerror or str(problem))
            if isinstance(text, Diagnostic):
                found.append(text)
            else:
                sources[file.resolve()] = str(file), text
    return list(sources.values()), found


def _yaml_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*.yaml") if path.is_file())
