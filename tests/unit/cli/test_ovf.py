"""``evbridge ovf``: the files it writes, the lines it prints and the status it ends with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.check import check
from ryu_apps.cli.ovf import ovf

POLICY = "version: 1\nvsi_type: {type_id: 7, version: 1, name: Web Server!}\nto_vm: {default: allow}\n"
INSTANCES = """\
version: 1
networks:
  net: {vlan: 5, vsi_types: [{type_id: 7, version: 1}]}
vsis:
  - {vm: web-1, adapter: eth0, network: net, mac: 52:54:00:00:00:01}
"""
POINTING = """\
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/2" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2"><NetworkSection>
<Network ovf:name="net"><NetworkPortProfileURI>{}</NetworkPortProfileURI></Network>
</NetworkSection></Envelope>
"""
PROFILE = """\
<NetworkPortProfile xmlns="http://schemas.dmtf.org/ovf/networkportprofile/1"
  xmlns:epasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_EthernetPortAllocationSettingData">
<Item><epasd:VSITypeID>9</epasd:VSITypeID><epasd:VSITypeIDVersion>1</epasd:VSITypeIDVersion></Item>
</NetworkPortProfile>
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(ovf, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a policy and instances."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.yaml").write_text(POLICY)
    (tmp_path / "instances.yaml").write_text(INSTANCES)
    return tmp_path


@pytest.fixture
def package(here: Path) -> Path:
    assert run("export", "web.yaml", "instances.yaml", "-o", "package.ovf").exit_code == 0
    return here / "package.ovf"


def test_an_import_writes_policies_and_instances(here: Path, package: Path) -> None:
    result = run("import", package, "-o", "out")
    assert (result.exit_code, result.output) == (0, "1 VSI type, 1 VSI, 1 network: no mistakes\n")
    written = sorted(str(path.relative_to(here)) for path in (here / "out").rglob("*.yaml"))
    assert written == ["out/instances.yaml", "out/policies/web_server_7_1.yaml"]


def test_what_was_imported_passes_the_check(here: Path, package: Path) -> None:
    run("import", package, "-o", "out")
    result = CliRunner().invoke(check, ["out"])
    assert (result.exit_code, result.output) == (0, "1 policy file and 1 instances file: no mistakes\n")


def test_the_check_knows_what_is_wrong_with_instances(here: Path) -> None:
    (here / "instances.yaml").write_text(INSTANCES.replace("network: net", "network: nte"))
    result = CliRunner().invoke(check, ["instances.yaml"])
    assert (result.exit_code, result.output) == (1, "instances.yaml:5:41: there is no network 'nte'\n")


def test_what_was_imported_is_exported_as_it_was(here: Path, package: Path) -> None:
    run("import", package, "-o", "out")
    assert run("export", "out").output == package.read_text()


def test_without_a_directory_the_files_are_written_here(here: Path, package: Path) -> None:
    (here / "instances.yaml").unlink()
    assert run("import", package).exit_code == 0
    assert (here / "policies" / "web_server_7_1.yaml").exists()


def test_a_mistake_is_a_line_and_nothing_is_written(here: Path, package: Path) -> None:
    package.write_text(package.read_text().replace(">5<", ">5000<", 1))
    result = run("import", package, "-o", "out")
    assert result.exit_code == 1
    assert result.output == f"{package}:13:11: epasd:PortVID: '5000' is not a number from 0 to 4094\n"
    assert not (here / "out").exists()


def test_files_that_say_something_else_are_not_overwritten_unless_told_so(here: Path, package: Path) -> None:
    assert run("import", package, "-o", "out").exit_code == 0
    assert run("import", package, "-o", "out").exit_code == 0
    mine = here / "out" / "instances.yaml"
    mine.write_text("mine\n")
    result = run("import", package, "-o", "out")
    assert result.exit_code == 1
    assert result.output == "out/instances.yaml:1:1: is there already and says something else: --force overwrites it\n"
    assert mine.read_text() == "mine\n"
    assert run("import", package, "-o", "out", "--force").exit_code == 0
    assert mine.read_text() != "mine\n"


def test_warnings_are_counted_and_are_no_failure(here: Path) -> None:
    (here / "p.xml").write_text(PROFILE)
    result = run("import", "p.xml", "-o", "out")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "1 VSI type, 0 VSIs, 0 networks: 1 warning"


@pytest.mark.parametrize("uri", ["p.xml", "file:p.xml"])
def test_a_profile_is_looked_for_beside_the_descriptor(here: Path, uri: str) -> None:
    (here / "package").mkdir()
    (here / "package" / "a.ovf").write_text(POINTING.format(uri))
    (here / "package" / "p.xml").write_text(PROFILE)
    assert run("import", "package/a.ovf", "-o", "out").exit_code == 0


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("absent.xml", "No such file or directory"),
        ("../secret.xml", "not looked for outside the package's own directory: name it on the command line"),
        ("/etc/hostname", "not looked for outside the package's own directory: name it on the command line"),
        ("file:///etc/hostname", "not looked for outside the package's own directory: name it on the command line"),
        (".hidden", "not looked for outside the package's own directory: name it on the command line"),
        ("%2e%2e/secret.xml", "not looked for outside the package's own directory: name it on the command line"),
        ("http://192.0.2.1/other.xml", "not fetched from the network: name a copy of it on the command line"),
        ("http://[x/p.xml", "not a URI"),
        ("", "not looked for outside the package's own directory: name it on the command line"),
    ],
)
def test_a_profile_is_looked_for_nowhere_else(here: Path, uri: str, complaint: str) -> None:
    (here / "package").mkdir()
    (here / "package" / "a.ovf").write_text(POINTING.format(uri))
    (here / "secret.xml").write_text(PROFILE)
    result = run("import", "package/a.ovf", "-o", "out")
    assert (result.exit_code, result.output) == (1, f"package/a.ovf:2:25: network port profile {uri}: {complaint}\n")


def test_a_link_beside_the_descriptor_leads_nowhere(here: Path) -> None:
    (here / "package").mkdir()
    (here / "package" / "a.ovf").write_text(POINTING.format("p.xml"))
    (here / "secret.xml").write_text(PROFILE)
    os.symlink(here / "secret.xml", here / "package" / "p.xml")
    assert "not looked for outside" in run("import", "package/a.ovf", "-o", "out").output


def test_a_profile_from_the_network_is_taken_from_the_command_line(here: Path) -> None:
    (here / "a.ovf").write_text(POINTING.format("http://192.0.2.1/p.xml"))
    (here / "p.xml").write_text(PROFILE)
    assert run("import", "a.ovf", "p.xml", "-o", "out").exit_code == 0


def test_a_file_that_is_no_text_is_a_mistake(here: Path) -> None:
    (here / "a.ovf").write_bytes(b"<a>\xff</a>")
    result = run("import", "a.ovf", "-o", "out")
    assert (result.exit_code, result.output) == (1, "a.ovf:1:4: not UTF-8 text\n")


def test_an_export_goes_to_standard_output_and_its_warnings_do_not(here: Path) -> None:
    (here / "instances.yaml").write_text(
        "version: 1\nvsis: [{vm: a, adapter: b, vsi_type: {type_id: 8, version: 1}}]\n"
    )
    result = run("export", "web.yaml", "instances.yaml")
    assert result.exit_code == 0
    assert result.stdout.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Envelope ')
    assert result.stderr == "instances.yaml:1:1: warning: b of a: there is no policy for VSI type 8/1\n"


def test_an_export_of_a_mistake_writes_nothing(here: Path) -> None:
    (here / "web.yaml").write_text(POLICY + "colour: red\n")
    result = run("export", "web.yaml", "-o", "x.ovf")
    assert (result.exit_code, result.output) == (1, "web.yaml:4:1: unknown key 'colour'\n")
    assert not (here / "x.ovf").exists()


def test_an_export_has_whatever_the_directory_has(here: Path) -> None:
    assert run("export", ".", "-o", "x.ovf").output == "1 VSI type, 1 VSI, 1 network: no mistakes\n"
