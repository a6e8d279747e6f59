"""``evbridge vcm plan``, ``run`` and ``serve``: a VM whose VSI type is nowhere is a mistake before anything moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ryu_apps.cli.main import main
from tests.app.test_evb_rest import CONFIG, serving

CHECKOUT = Path(__file__).parents[2]
TWO_SWITCH = (CHECKOUT / "mininet_tests" / "inventories" / "two-switch.yaml").read_text()
#: Type 2/1 of a database is 2/9 at one of them, which is nowhere.
STRAY = TWO_SWITCH.replace("type: 2, version: 1", "type: 2, version: 9", 1)
POLICIES = f"cluster: {{policies: ['{CHECKOUT}/policies']}}\n"

MANAGERS = "vsi_managers: {managers: {10.0.0.5: {url: 'http://127.0.0.1:1/types/'}}}\n"


def asked(folder: Path, inventory: str, *arguments: str) -> Result:
    path = folder / "inventory.yaml"
    path.write_text(inventory)
    return CliRunner().invoke(main, ["vcm", arguments[0], str(path), "rebalance", *arguments[1:]])


def test_manager_of_unknown_types_is_not_served(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(STRAY + POLICIES)
    result = CliRunner().invoke(main, ["vcm", "serve", str(path), "--port", "0"])
    assert result.exit_code == 1
    assert "there is no VSI type 2/9" in result.output


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_type_that_is_in_no_policy_is_named_with_its_line(tmp_path: Path, command: str) -> None:
    line = next(n for n, text in enumerate(STRAY.splitlines(), 1) if "version: 9" in text)
    result = asked(tmp_path, STRAY + POLICIES, command)
    assert result.exit_code == 1
    assert f"inventory.yaml:{line}:" in result.output
    assert "there is no VSI type 2/9" in result.output
    assert asked(tmp_path, TWO_SWITCH + POLICIES, "plan").exit_code == 0


def test_policies_that_are_missing_or_faulty_are_named(tmp_path: Path) -> None:
    result = asked(tmp_path, TWO_SWITCH + POLICIES.replace("/policies", "/absent"), "plan")
    assert result.exit_code == 1
    assert "/absent" in result.output
    (tmp_path / "types.yaml").write_text("version: 1\nvsi_types: 7\n")
    result = asked(tmp_path, TWO_SWITCH + "cluster: {policies: [types.yaml]}\n", "plan")
    assert result.exit_code == 1
    assert "types.yaml:" in result.output


def test_what_is_not_checked_is_said(tmp_path: Path) -> None:
    result = asked(tmp_path, STRAY, "plan")
    assert result.exit_code == 0
    assert "VSI types are not checked: no policies are named" in result.output
    (tmp_path / "fabric.yaml").write_text(CONFIG + MANAGERS)
    result = asked(tmp_path, STRAY + "cluster: {topology: fabric.yaml}\n", "plan")
    assert result.exit_code == 0, result.output
    assert "VSI types are not checked: VSI managers may have others" in result.output


def test_a_running_bridge_is_asked_for_its_types(tmp_path: Path) -> None:
    text = CONFIG + f"policies: ['{CHECKOUT}/policies']\n"
    with serving(tmp_path, "ryu_apps.evb_bridge", "ryu_apps.evb_rest", text=text) as server:
        server.await_listening()
        url = f"http://127.0.0.1:{server.port}"
        assert asked(tmp_path, TWO_SWITCH, "plan", "--rest", url).exit_code == 0
        result = asked(tmp_path, STRAY, "plan", "--rest", url)
        assert result.exit_code == 1
        assert "there is no VSI type 2/9" in result.output
        result = asked(tmp_path, TWO_SWITCH, "plan", "--rest", f"{url}/absent")
        assert result.exit_code == 1
        assert "404" in result.output


def test_a_running_bridge_is_asked_for_room_and_says_why_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(TWO_SWITCH)
    text = CONFIG + f"policies: ['{CHECKOUT}/policies']\n"
    with serving(tmp_path, "ryu_apps.evb_bridge", "ryu_apps.evb_rest", text=text) as server:
        server.await_listening()
        url = f"http://127.0.0.1:{server.port}"
        result = CliRunner().invoke(main, ["vcm", "place", str(path), "db1", "--rest", url])
    assert result.exit_code == 0, "what this bridge does not know is not against a node"
    lines = result.output.splitlines()
    assert "not hv1: s1 is disconnected, its station is not reached: switch disconnected" in lines
    assert "not hv2: s1 is disconnected" in lines
    assert f"{path}: s2 is not a switch of {url}: its room is not known" in lines
    assert [line for line in lines if line.startswith("1. hv6: ")]
