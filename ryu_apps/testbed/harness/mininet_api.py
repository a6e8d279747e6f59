"""Mininet for an interpreter that cannot see it: Debian's package installs it for the system's Python only.

Debian's ``mininet`` is needed anyway (``mnexec`` is a binary), so its Python part is used too, unless the
environment has a Mininet of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_DEBIAN = Path("/usr/lib/python3/dist-packages/mininet")


def load() -> ModuleType:
    """Import ``mininet.net`` and return it.

    Raises:
        ModuleNotFoundError: no Mininet on this machine.
    """
    importlib.import_module("setuptools")  # brings distutils back where Python has dropped it
    if importlib.util.find_spec("mininet") is None:
        _adopt(_DEBIAN)
    return importlib.import_module("mininet.net")


def _adopt(package: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "mininet", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None or not package.is_dir():
        raise ModuleNotFoundError("no Mininet: install Debian's package (apt-get install mininet)")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mininet"] = module
    spec.loader.exec_module(module)
