"""The compiled flow program of each shipped policy, recorded as text: a changed program is a readable diff.

Recorded with ``EVBRIDGE_UPDATE_GOLDEN=1 pytest tests/golden/test_policy_programs.py``; the commit says why.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import SECTIONS, body_of_type, body_of_vsi, extensions_needed
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.sources import read_sources
from tests.worlds.bridge import HV1, S1, S2, Vm, World, two_switches, without_extensions

ROOT = Path(__file__).parents[2]
POLICIES = sorted((ROOT / "policies").rglob("*.yaml"))
RECORDED = Path(__file__).parent / "policies"
#: The same for a switch of OpenFlow 1.3 alone.
PLAIN = RECORDED / "openflow13"

#: The VSI whose own rules are recorded: nobody told about its addresses, and both versions known.
STRANGER = VsiBinding(7, 1, (Binding(100, 0x525400000001),))
KNOWN = VsiBinding(8, 2, (Binding(100, 0x525400000002),), (ip_address("10.0.0.5"), ip_address("2001:db8::5")))


def load(policy: Path) -> VsiType:
    sources, _ = read_sources([policy])
    policies, diagnostics = load_policies(sources, SECTIONS)
    assert policies is not None, diagnostics
    return next(iter(policies.types.values()))


def program(vsi_type: VsiType, profile: Profile = Profile.OPEN_VSWITCH) -> str:
    parts = {
        f"type {vsi_type.key} ({vsi_type.name}), epoch 1": body_of_type(vsi_type, 1, profile),
        "VSI 7, no address known": body_of_vsi(vsi_type, STRANGER, profile),
        "VSI 8, 10.0.0.5 and 2001:db8::5 known": body_of_vsi(vsi_type, KNOWN, profile),
    }
    return "".join(
        line + "\n" for title, rules in parts.items() for line in (f"# {title}", *(rule_text(rule) for rule in rules))
    )


def compare(found: str, recording: Path) -> None:
    if os.environ.get("EVBRIDGE_UPDATE_GOLDEN"):
        recording.parent.mkdir(parents=True, exist_ok=True)
        recording.write_text(found)
    assert found.splitlines() == recording.read_text().splitlines()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_a_shipped_policy_compiles_to_the_recorded_program(policy: Path) -> None:
    compare(program(load(policy)), RECORDED / f"{policy.stem}.flows")


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_a_shipped_policy_without_extensions_compiles_to_the_recorded_program(policy: Path) -> None:
    vsi_type = load(policy)
    if extensions_needed(vsi_type) is None:
        compare(program(vsi_type, Profile.OPENFLOW13), PLAIN / f"{policy.stem}.flows")


def test_the_base_of_a_switch_without_extensions_is_the_recorded_one() -> None:
    world = World(without_extensions(two_switches(), S1, S2))
    world.connect()
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    table = world.tables[S1]
    lines = sorted(map(rule_text, table.rules.values()))
    groups = [f"{group.group_id:#x} {group.type.name} {group.buckets}" for _, group in sorted(table.groups.items())]
    compare("\n".join([*lines, *groups]) + "\n", PLAIN / "switch" / "s1.flows")


def test_every_recording_has_its_policy() -> None:
    assert {path.stem for path in RECORDED.glob("*.flows")} == {path.stem for path in POLICIES}
    plain = {
        "blue",
        "database",
        "default_deny",
        "red",
        "transparent_firewall",
        "visitor",
        "web_server",
    }
    assert {path.stem for path in PLAIN.glob("*.flows")} == plain


def test_the_shipped_policies_are_free_of_mistakes_and_warnings() -> None:
    sources, unreadable = read_sources([ROOT / "policies"])
    assert unreadable == []
    assert load_policies(sources, SECTIONS)[1] == []
    assert len(sources) >= 3
