"""Content of what ``make dist`` makes and of an editable install, and completeness of the pins."""

from __future__ import annotations

import configparser
import importlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from importlib.metadata import distributions, version
from pathlib import Path
from sysconfig import get_path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources: building leaves things behind."""
    tree = tmp_path_factory.mktemp("evbridge") / "tree"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "reports", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    return tree


@pytest.fixture(scope="module")
def released(tree: Path) -> Path:
    """The folder with what the line of ``make dist`` makes, the wheel out of the source distribution."""
    (tree / "docs/_build").mkdir(exist_ok=True)
    (tree / "docs/_build/page.html").touch()
    (line,) = re.findall(r"^\t@\$\(BIN\)/python (-m build .*)$", (tree / "Makefile").read_text(), re.MULTILINE)
    subprocess.run([sys.executable, *line.split()], cwd=tree, check=True, capture_output=True, timeout=240)
    return tree / "dist"


@pytest.fixture(scope="module")
def wheel(released: Path) -> zipfile.ZipFile:
    (packed,) = released.glob("*.whl")
    return zipfile.ZipFile(packed)


def sources(*patterns: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)}


def test_a_wheel_has_the_hook_and_every_source_and_data_file(wheel: zipfile.ZipFile) -> None:
    packed = set(wheel.namelist())
    # Data and topologies are in the package by symbolic links.
    linked = {f"ryu_apps/{name}" for name in sources("topologies/**/*.py", "policies/**/*.yaml")} | {
        f"ryu_apps/testbed/{name.removeprefix('mininet_tests/')}" for name in sources("mininet_tests/**/*.yaml")
    }
    wanted = sources("ryu_apps/**/*.py", "ryu_apps/**/*.ovsschema", "ryu_apps/rest/page_files/*") | linked
    assert {"evbridge.pth", "evbridge_hook.py", *wanted} - packed == set()
    tops = {name.split("/")[0] for name in packed}
    assert {name for name in tops if not name.endswith(".dist-info")} == {
        "evbridge.pth",
        "evbridge_hook.py",
        "ryu_apps",
    }


def test_a_wheel_has_both_programs(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(name).decode())
    programs = dict(parser["console_scripts"])
    assert set(programs) == {"evbridge", "evbridge-station"}
    for place in programs.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), place


def test_the_metadata_have_the_licence_as_an_expression_and_addresses(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(wheel.read(name))
    assert metadata["Metadata-Version"] == "2.4"
    assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")
    assert wheel.read(name.replace("METADATA", "licenses/LICENSE")) == (ROOT / "LICENSE").read_bytes()
    addresses = metadata.get_all("Project-URL", [])
    assert addresses
    assert [address for address in addresses if not re.fullmatch(r"[\w. ]+, https://\S+", address)] == []


def test_a_source_distribution_is_the_whole_repository(tree: Path, released: Path) -> None:
    (packed,) = released.glob("*.tar.gz")
    with tarfile.open(packed) as members:
        names = {member.name.partition("/")[2] for member in members}
    wanted = {str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file()}
    made = {name for name in wanted if name.startswith(("dist/", "docs/_build/", "build/", "evbridge.egg-info/"))}
    assert "docs/_build/page.html" in made - names
    assert wanted - made - names == set()
    assert {name for name in names if name.endswith(".pyc")} == set()


def test_an_editable_install_has_the_hook(tree: Path) -> None:
    destination = tree.parent / "editable"
    destination.mkdir()
    program = f"from setuptools.build_meta import build_editable as build; build({str(destination)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=tree, check=True, capture_output=True, timeout=120)
    (packed,) = destination.glob("*.whl")
    assert "evbridge.pth" in zipfile.ZipFile(packed).namelist()


def test_every_installed_distribution_is_pinned_to_its_version() -> None:
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    pinned = {(canonical(name), number) for name, number in pins}
    # What setuptools brings inside itself is not installed, whoever has put it on the path.
    places = [get_path("purelib"), get_path("platlib")]
    installed = {
        (canonical(distribution.name), distribution.version)
        for distribution in distributions(path=places)
        if distribution.name != "evbridge"
    }
    assert installed - pinned == set()


def test_the_version_is_in_the_changelog() -> None:
    assert re.search(rf"^{re.escape(version('evbridge'))}\b", (ROOT / "CHANGELOG.rst").read_text(), re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
