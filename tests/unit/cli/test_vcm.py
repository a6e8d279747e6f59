"""``evbridge vcm plan`` and ``place`` as a user meets them: no root, no cluster, only words."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.main import main
from ryu_apps.inventory_files import load_with_descriptors
from ryu_apps.testbed.site import DEFAULT_POLICIES

INVENTORIES = Path(__file__).parents[3] / "mininet_tests" / "inventories"
TWO_SWITCH = str(INVENTORIES / "two-switch.yaml")


def vcm(*words: str) -> Result:
    return CliRunner().invoke(main, ["vcm", *words])


@pytest.mark.parametrize("path", sorted(INVENTORIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_inventory_is_good_and_named_as_its_file(path: Path) -> None:
    loaded, found = load_with_descriptors((str(path), path.read_text(encoding="utf-8")))
    assert loaded is not None and found == []
    assert loaded.inventory.name == path.stem
    policies = loaded.file.cluster.policies or DEFAULT_POLICIES
    assert all((path.parent / place).is_dir() for place in policies)


def test_a_plan_names_each_move_its_reasons_and_who_is_next() -> None:
    result = vcm("plan", TWO_SWITCH, "evacuate", "s1")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("1. fw1 (appliance): hv1 to hv6\n")
    assert "no other db on hv6" in result.output
    assert "although switch s2 has db2 too" in result.output
    assert "   if that refuses: hv8, hv5, hv7\n" in result.output


def test_a_plan_says_whose_network_the_bridge_chooses() -> None:
    result = vcm("plan", str(INVENTORIES / "tenants.yaml"), "evacuate", "s1")
    assert result.exit_code == 0, result.output
    assert "   VLAN and priority: of VSI type 1000/1, as the bridge answers\n" in result.output
    assert "as the bridge answers" not in vcm("plan", TWO_SWITCH, "evacuate", "s1").output


def test_a_plan_says_whose_group_it_is(tmp_path: Path) -> None:
    text = (INVENTORIES / "tenants.yaml").read_text(encoding="utf-8")
    path = tmp_path / "grouped.yaml"
    text = text.replace("topology: fabrics", f"topology: {INVENTORIES}/fabrics")
    path.write_text(text.replace("type: 2000,", "type: 2000, group_id: 2000,"), encoding="utf-8")
    assert "   VLAN: of GroupID 2000, as the bridge answers\n" in vcm("plan", str(path), "evacuate", "s1").output


def test_a_plan_is_the_same_every_time() -> None:
    assert vcm("plan", TWO_SWITCH, "rebalance").output == vcm("plan", TWO_SWITCH, "rebalance").output


def test_a_plan_with_somebody_stuck_says_why_and_fails(tmp_path: Path) -> None:
    text = Path(TWO_SWITCH).read_text(encoding="utf-8")
    path = tmp_path / "tight.yaml"
    path.write_text(text.replace("slots: 4, memory_mib: 8192", "slots: 4, memory_mib: 4200"), encoding="utf-8")
    result = vcm("plan", str(path), "evacuate", "s1")
    assert result.exit_code == 1
    assert "web3: hv3 to nowhere" in result.output
    assert "hv7: 2048 MiB are needed, 104 are free" in result.output


def test_a_placement_names_every_other_node() -> None:
    result = vcm("place", TWO_SWITCH, "db1")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "db1 is at hv4"
    assert lines[1].startswith("1. hv2: no other db on hv2; no other db in power domain a; no other db at s1")
    assert lines[-1] == "not hv7: db must not share a node: db2 at hv7"
    assert len(lines) == 8


def test_mistakes_are_told_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(Path(TWO_SWITCH).read_text(encoding="utf-8").replace("at: hv7", "at: hv77"), encoding="utf-8")
    result = vcm("plan", str(path), "evacuate", "s1")
    assert result.exit_code == 1
    assert f"{path}:47:10: there is no node 'hv77'" in result.output


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("plan", TWO_SWITCH, "evacuate", "s9"), "two-switch has no node, switch or power domain of that name"),
        (("plan", TWO_SWITCH, "evacuate"), "evacuate: the name of a node, a switch or a power domain is missing"),
        (("plan", TWO_SWITCH, "rebalance", "s1"), "rebalance is about the whole cluster"),
        (("plan", TWO_SWITCH, "explode", "s1"), "'explode' is not one of"),
        (("place", TWO_SWITCH, "web9"), "there is no VM 'web9' in two-switch"),
    ],
)
def test_a_goal_that_means_nothing_is_refused(words: tuple[str, ...], complaint: str) -> None:
    result = vcm(*words)
    assert result.exit_code != 0
    assert complaint in result.output
