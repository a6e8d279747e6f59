"""Debian packages, built from a copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def build_station(folder: Path) -> Path:
    """Build the package ``evbridge-station`` in a folder, and return its file."""
    tree = folder / "tree"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "reports", "*.egg-info", "_build")
    shutil.copytree(_ROOT, tree, ignore=unwanted, symlinks=True)
    # Debian's Python builds it, whichever runs the tests.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(
        [tree / "tools/build-deb", "evbridge-station"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (built,) = (tree / "dist").glob("*.deb")
    return built
