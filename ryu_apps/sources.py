"""Reads the files that the pure loaders are fed with; a file that cannot be read is a diagnostic too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ryu_apps.evb.policy.diagnostic import Diagnostic, Place, error

#: ``(file name, text)``, as the loaders want it.
Source = tuple[str, str]


def read_sources(paths: Iterable[Path]) -> tuple[list[Source], list[Diagnostic]]:
    """Read files and, in directories and all below them, every ``*.yaml`` in name order.

    Returns:
        what could be read, each file once, and a diagnostic for what could not.
    """
    sources: dict[str, Source] = {}
    found: list[Diagnostic] = []
    for path in paths:
        files = _yaml_files(path) if path.is_dir() else [path]
        if not files:
            found.append(error(str(path), Place(), "no .yaml file in this directory"))
        for file in files:
            if str(file) in sources:
                continue
            try:
                sources[str(file)] = str(file), file.read_bytes().decode("utf-8")
            except OSError as problem:
                found.append(error(str(file), Place(), problem.strerror or str(problem)))
            except UnicodeDecodeError as problem:
                found.append(error(str(file), _place(problem), "not UTF-8 text"))
    return list(sources.values()), found


def _yaml_files(directory: Path) -> list[Path]:
    return sorted(one for one in directory.rglob("*.yaml") if one.is_file())


def _place(problem: UnicodeDecodeError) -> Place:
    before = problem.object[: problem.start]
    return Place(before.count(b"\n") + 1, problem.start - (before.rfind(b"\n") + 1) + 1)
