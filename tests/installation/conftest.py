"""The Debian package of the bridge, and a minimal Debian whose systemd runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_apps.testbed.harness.systemd import BootedDebian
from tests.worlds.packages import build_package


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from a copy of the sources."""
    return build_package("evbridge", tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minimal Debian without the package."""
    folder = tmp_path_factory.mktemp("debian")
    root = folder / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", os.environ["EVBRIDGE_DEBIAN_ROOT"]], check=True)
    return root


@pytest.fixture(scope="module")
def booted(bare: Path) -> Iterator[BootedDebian]:
    """The Debian with its systemd running."""
    with BootedDebian(bare) as booted:
        yield booted


def install(debian: BootedDebian, root: Path, package: Path) -> None:
    """Install the package, as dpkg does."""
    (root / "evbridge.deb").write_bytes(package.read_bytes())
    done = debian.run("dpkg", "--install", "/evbridge.deb")
    (root / "evbridge.deb").unlink()
    assert done.returncode == 0, done.stderr
