"""Packages in the style of real exporters, what becomes of each, and a package of our own, recorded as text.

The packages are written by hand for these tests.  Recorded with
``EVBRIDGE_UPDATE_GOLDEN=1 pytest tests/golden/test_ovf_packages.py``; the commit says why.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from ryu_apps.cli.main import main
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.ovf.collect import collect_package
from ryu_apps.ovf.envelope import read_package
from ryu_apps.ovf.policy_file import policy_text
from ryu_apps.ovf.writer import write_envelope
from ryu_apps.sources import read_sources

ROOT = Path(__file__).parents[2]
PACKAGES = Path(__file__).parent / "ovf"
#: Package -> further files that are named on the command line.
IMPORTED = {
    "vsphere": [],
    "virtualbox": [],
    "inlined_profile": [],
    "referenced_profiles": ["networkportprofile2.xml"],
    "three_tiers": [],
    "refused": [],
}
ACCEPTED = [name for name in IMPORTED if name != "refused"]
POLICIES = [ROOT / "policies" / name / f"{name}.yaml" for name in ("web_server", "database", "web_server_stateful")]


def run(*words: str) -> str:
    result = CliRunner().invoke(main, ["ovf", *words], catch_exceptions=False)
    return f"{result.output}status {result.exit_code}\n"


def compare(found: dict[str, str], recorded: Path) -> None:
    """The files of a directory, byte for byte; and no others."""
    if os.environ.get("EVBRIDGE_UPDATE_GOLDEN"):
        for name, text in found.items():
            (recorded / name).parent.mkdir(parents=True, exist_ok=True)
            (recorded / name).write_text(text, encoding="utf-8")
    assert found == texts(recorded)


def texts(directory: Path) -> dict[str, str]:
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {str(path.relative_to(directory)): path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("name", IMPORTED)
def test_a_package_becomes_the_recorded_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PACKAGES / name)
    output = run("import", "package.ovf", *IMPORTED[name], "-o", str(tmp_path))
    compare({"output.txt": output, **texts(tmp_path)}, PACKAGES / name / "expected")


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_recorded_passes_the_check(name: str) -> None:
    sources, unreadable = read_sources([PACKAGES / name / "expected"])
    assert unreadable == []
    package, found = collect_package(sources, SECTIONS)
    assert package is not None, found
    assert found == []


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_package_that_was_exported_again_is_the_same_package(name: str) -> None:
    package, _ = collect_package(read_sources([PACKAGES / name / "expected"])[0], SECTIONS)
    assert package is not None
    again, found = read_package((("again.ovf", write_envelope(package)),), lambda uri: "nothing is fetched", SECTIONS)
    assert again == package, found


def test_policies_and_instances_become_the_recorded_descriptor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = PACKAGES / "exported"
    monkeypatch.chdir(directory)
    output = run("export", *map(str, POLICIES), "instances.yaml", "-o", str(tmp_path / "package.ovf"))
    compare({"output.txt": output, **texts(tmp_path)}, directory / "expected")


def test_the_recorded_descriptor_means_what_the_policies_mean() -> None:
    descriptor = (PACKAGES / "exported" / "expected" / "package.ovf").read_text(encoding="utf-8")
    package, found = read_package((("package.ovf", descriptor),), lambda uri: "nothing is fetched", SECTIONS)
    assert found == [] or all("no VSI type" in diagnostic.reason for diagnostic in found)
    known, _ = load_policies(read_sources(POLICIES)[0], SECTIONS)
    assert package is not None and known is not None
    again, _ = load_policies(
        [(f"{profile.key}.yaml", policy_text(profile, "package.ovf")) for profile in package.profiles], SECTIONS
    )
    assert again is not None
    assert {key: (vsi_type.digest, vsi_type.name) for key, vsi_type in again.types.items()} == {
        key: (vsi_type.digest, vsi_type.name) for key, vsi_type in known.types.items()
    }
