"""Version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("evbridge")
    except PackageNotFoundError:
        return "not installed"


VERSION = _version()
