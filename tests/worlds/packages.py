"""Debian packages, built from a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_DEBIANS_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def build_station(folder: Path) -> Path:
    """Build the package ``evbridge-station`` in a folder, and return its file."""
    # Debian's Python builds it, whichever runs the tests.
    return build_package("evbridge-station", folder, {"PATH": _DEBIANS_PATH})


def build_package(name: str, folder: Path, environment: Mapping[str, str] | None = None) -> Path:
    """Build a package in a folder, and return its file.

    Args:
        name: of the binary package.
        folder: for a copy of the sources and what is made of them.
        environment: by default this process's, so with the settings of pip, other than for the place of programs.
    """
    tree = copy_sources(folder)
    done = subprocess.run(
        [tree / "tools/build-deb", name],
        env=environment or os.environ | {"PATH": _DEBIANS_PATH},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr
    (built,) = (tree / "dist").glob("*.deb")
    return built


def copy_sources(folder: Path) -> Path:
    """Copy the checkout, without what was made in it, to ``tree`` in a folder; return that."""
    tree = folder / "tree"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "reports", "*.egg-info", "_build")
    shutil.copytree(_ROOT, tree, ignore=unwanted, symlinks=True)
    return tree
