"""``evbridge check``: the lines it prints and the status it ends with."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.check import check

GOOD = "version: 1\nvsi_type: {type_id: 7, version: 2, name: web}\n"
BAD = GOOD + "colour: red\nstage_on: never\n"
ODD = GOOD + "to_vm:\n  rules:\n  - rule: {actions: {allow: 1}}\n  - rule: {tcp_dst: 1, actions: {allow: 1}}\n"
CONFIG = "version: 1\npolicies: [profiles]\ndps: {}\n"


def run(*paths: Path) -> Result:
    return CliRunner().invoke(check, [str(path) for path in paths])


def test_good_policies_are_one_line_and_status_0(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    result = run(tmp_path)
    assert (result.exit_code, result.output) == (0, "1 policy file: no mistakes\n")


def test_every_mistake_is_a_line_and_the_status_is_1(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "deep"
    deep.mkdir(parents=True)
    (deep / "z.yaml").write_text(BAD)
    (tmp_path / "b.yaml").write_text("")
    result = run(tmp_path)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{deep}/z.yaml:3:1: unknown key 'colour'",
        f"{deep}/z.yaml:4:11: input should be 'preassociate' or 'preassociate_rr', not 'never'",
        f"{tmp_path}/b.yaml:1:1: file is empty",
    ]


def test_warnings_alone_are_status_0(tmp_path: Path) -> None:
    odd = tmp_path / "odd.yaml"
    odd.write_text(ODD)
    result = run(odd)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{odd}:6:5: warning: shadowed by the rule on line 5: it has no effect",
        "1 policy file: 1 warning",
    ]


def test_a_configuration_brings_its_policies_along(tmp_path: Path) -> None:
    (tmp_path / "evbridge.yaml").write_text(CONFIG)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "web.yaml").write_text(GOOD)
    result = run(tmp_path / "evbridge.yaml")
    assert (result.exit_code, result.output) == (0, "1 policy file and 1 configuration: no mistakes\n")
    (tmp_path / "profiles" / "web.yaml").write_text(BAD)
    assert run(tmp_path / "evbridge.yaml").exit_code == 1


def test_a_group_without_a_vid_is_a_warning(tmp_path: Path) -> None:
    config, policy = tmp_path / "evbridge.yaml", tmp_path / "profiles" / "web.yaml"
    config.write_text(CONFIG + "groups: {1000: 100}\n")
    policy.parent.mkdir()
    policy.write_text(GOOD + "network: {group: [1000, 2000]}\n")
    result = run(config)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{policy}:3:25: warning: GroupID 2000 has no VID in the configuration: its VSIs are refused",
        "1 policy file and 1 configuration: 1 warning",
    ]
    assert run(policy.parent).output == "1 policy file: no mistakes\n"


def test_a_mirror_that_the_configuration_lacks_is_a_warning(tmp_path: Path) -> None:
    config, policy = tmp_path / "evbridge.yaml", tmp_path / "profiles" / "web.yaml"
    config.write_text(CONFIG)
    policy.parent.mkdir()
    policy.write_text(GOOD + "mirror: {to: ids}\n")
    assert run(config).output.splitlines() == [
        f"{policy}:3:14: warning: the configuration has no mirror 'ids': its VSIs are refused",
        "1 policy file and 1 configuration: 1 warning",
    ]


def test_a_set_without_members_and_labels_without_a_set_are_warnings(tmp_path: Path) -> None:
    policy = tmp_path / "web.yaml"
    sets = "sets: {some: {labels: [a]}, own: {labels: [b]}}\n"
    policy.write_text(GOOD + "labels: [b]\nanti_spoofing: {ip: false}\n" + sets)
    assert run(policy).output.splitlines() == [
        f"{policy}:1:1: warning: its VSIs are in no set, whatever its labels: anti_spoofing.ip is false",
        f"{policy}:1:1: warning: set some: none of these files has a VSI type that it selects",
        "1 policy file: 2 warnings",
    ]


def test_a_policy_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "evbridge.yaml").write_text(CONFIG)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "web.yaml").write_text(GOOD)
    assert run(tmp_path / "evbridge.yaml", tmp_path / "profiles", tmp_path).exit_code == 0


def test_a_bad_configuration_is_status_1(tmp_path: Path) -> None:
    (tmp_path / "evbridge.yaml").write_text("version: 1\ndps: 5\n")
    result = run(tmp_path / "evbridge.yaml")
    assert (result.exit_code, result.output) == (1, f"{tmp_path}/evbridge.yaml:2:6: a mapping was expected, not 5\n")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"version: 1\nname: \xff\n", ":2:7: not UTF-8 text"), (b"\xef\xbb\xbf" + GOOD.encode(), None)],
)
def test_text_is_utf_8_with_or_without_byte_order_mark(tmp_path: Path, content: bytes, complaint: str | None) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    result = run(file)
    assert result.exit_code == (1 if complaint else 0)
    assert result.output.startswith(f"{file}{complaint}" if complaint else "1 policy file")


def test_a_directory_without_policies_is_a_mistake(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.exit_code, result.output) == (1, f"{tmp_path}:1:1: no .yaml file in this directory\n")


def test_a_policy_directory_that_is_not_there_is_a_mistake_of_its_line(tmp_path: Path) -> None:
    file = tmp_path / "evbridge.yaml"
    file.write_text(CONFIG)
    result = run(file)
    assert (result.exit_code, result.output) == (1, f"{file}:2:12: {tmp_path}/profiles does not exist\n")


def test_a_policy_is_one_policy_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "evbridge.yaml").write_text(CONFIG.replace("profiles", "profiles/../profiles"))
    (tmp_path / "profiles" / "web.yaml").write_text(GOOD)
    result = run(tmp_path / "profiles", tmp_path / "evbridge.yaml")
    assert (result.exit_code, result.output) == (0, "1 policy file and 1 configuration: no mistakes\n")


def test_inventories_are_checked_too(tmp_path: Path) -> None:
    inventories = Path(__file__).parents[3] / "mininet_tests" / "inventories"
    many, policies = len(list(inventories.glob("*.yaml"))), len(list(inventories.glob("*/policies/*.yaml")))
    files = f"{2 + policies} policy files and 1 configuration and {many} inventories"
    assert run(inventories).output == f"{files}: no mistakes\n"
    text = (inventories / "two-switch.yaml").read_text(encoding="utf-8")
    file = tmp_path / "bad.yaml"
    file.write_text(text.replace("at: hv7", "at: hv77"), encoding="utf-8")
    result = run(file)
    assert (result.exit_code, result.output) == (1, f"{file}:47:10: there is no node 'hv77'\n")


PROFILES = """\
version: 1
policies: [walled.yaml]
dps:
  tor1: {dp_id: 1, profile: openflow13, interfaces: {1: {name: hv1, role: station, native_vlan: 100}}}
  tor2: {dp_id: 2, interfaces: {1: {name: hv2, role: station, native_vlan: 100}}}
"""
WALLED = "# A wall.\nversion: 1\nvsi_type: {type_id: 7, version: 2, name: walled}\nfirewall: {to_vm: {default: deny}}\n"


def test_a_type_that_the_profile_of_a_switch_excludes_is_a_warning_or_an_error(tmp_path: Path) -> None:
    config, policy = tmp_path / "evbridge.yaml", tmp_path / "walled.yaml"
    policy.write_text(WALLED)
    needs = "walled needs the extensions of Open vSwitch for firewall"
    config.write_text(PROFILES)
    result = run(config)
    reason = f"{policy}:3:1: warning: {needs}: refused at tor1 (profile openflow13)"
    assert (result.exit_code, result.output.splitlines()[0]) == (0, reason)
    config.write_text(PROFILES.replace("dp_id: 2", "dp_id: 2, profile: openflow13, meters: false"))
    result = run(config)
    reason = f"{policy}:3:1: {needs}: refused at tor1, tor2 (profile openflow13)"
    assert (result.exit_code, result.output.splitlines()[0]) == (1, reason)
    config.write_text(PROFILES.replace("openflow13", "openvswitch"))
    assert run(config).output.endswith("no mistakes\n")
