"""The switch of a server in evbridge.yaml."""

from __future__ import annotations

import textwrap

import pytest

from ryu_apps.evb.config import dump_config
from ryu_apps.evb.config.reading import load_config
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.vsi_ports import USUAL_NAMES, VsiPortPattern

SERVER = """\
    version: 1
    station: libvirt
    dps:
      vs1:
        dp_id: 0x11
        interfaces:
          2: {name: hv1, role: local_station, timers: {rka: 18}}
          tap*: {role: vsi, native_vlan: 100, tagged_vlans: [200]}
          vnet1: {role: vsi}
          veth*: {role: vsi, native_vlans: [100, 200], tagged_vlans: [300]}
"""


def found(text: str) -> list[str]:
    _, diagnostics = load_config("e.yaml", textwrap.dedent(text))
    return [str(diagnostic) for diagnostic in diagnostics]


def test_it_is_read_and_written_back_unchanged() -> None:
    config, mistakes = load_config("e.yaml", textwrap.dedent(SERVER))
    assert config is not None and not mistakes
    switch = config.fabric.switches[0x11]
    station = switch.interfaces[2]
    assert (station.role_text, station.port_names, station.timers.rka) == ("local_station", USUAL_NAMES, 18)
    assert station.reflective_relay is ReflectiveRelay.NEVER and station.treatment(True).stage_on_preassociate
    several = VsiPortPattern("veth*", 100, (300,), (100, 200))
    assert switch.vsi_ports == (VsiPortPattern("tap*", 100, (200,)), VsiPortPattern("vnet1"), several)
    assert load_config("e.yaml", dump_config(config)) == (config, [])


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ("local_station,", "station,", "VSI ports need a local_station"),
        ("tap*:", "7:", "VSI ports are given by their names"),
        ("2: {name: hv1", "eth1: {name: hv1", "any other port by its number"),
        ("vnet1: {role: vsi}", "3: {name: hv2, role: local_station}", "port 2 is already the local_station"),
        ("interfaces:", "profile: openflow13\n        interfaces:", "needs the extensions of Open vSwitch"),
        ("timers: {rka: 18}", "port_names: tap", "all VSIs would have the same port"),
        ("timers: {rka: 18}", "port_names: 'tap {mac}'", "make up names of VSI ports"),
        ("timers: {rka: 18}", "native_vlan: 100", "key 'native_vlan' does not belong here"),
        ("tap*:", "'?*':", "a name of VSI ports such as tap*, was expected"),
        ("tagged_vlans: [200]", "tagged_vlans: [100]", "VLAN 100 is already the native VLAN"),
        ("tagged_vlans: [300]", "tagged_vlans: [200]", "VLAN 200 is already the native VLAN"),
        ("native_vlans: [100, 200]", "native_vlans: [100, 100]", "VLAN 100 is given twice"),
        ("tagged_vlans: [300]", "native_vlan: 300", "one of native_vlan and native_vlans was expected"),
    ],
)
def test_mistakes_are_found(before: str, after: str, mistake: str) -> None:
    assert before in SERVER
    assert any(mistake in line for line in found(SERVER.replace(before, after))), found(SERVER.replace(before, after))


def test_a_station_without_vsi_ports_is_a_mistake() -> None:
    lines = SERVER.splitlines()[:-3]
    assert "a local_station needs VSI ports at the same dp" in found("\n".join(lines))[0]
