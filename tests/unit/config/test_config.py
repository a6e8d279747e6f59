"""evbridge.yaml: a fabric out of it, back into it, and every mistake at its place."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config, load_config
from ryu_apps.evb.config.bridge_config import RestAccess
from ryu_apps.evb.model import Retention
from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.snooping.settings import Querying, Snooping
from ryu_apps.evb.snooping.timers import MembershipTimers as Timers3
from ryu_apps.evb.topology.balancer import MOST_BALANCERS, Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.evb_settings import TimerLimits, Timers
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.interface import BondMode, Interface, Role
from ryu_apps.evb.topology.numbering import numbers_of
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.station_treatment import NEVER, OF_LIBVIRT, StationTreatment, Takeover
from ryu_apps.evb.topology.switch import GateMode, Profile, Switch
from ryu_apps.evb.vsi_types.managers import Here
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.topologies import two_switch

EXAMPLE = """\
version: 1
policies: [./policies]
state_dir: /var/lib/evbridge
timers: {rwd: 20}
dps:
  s1:
    dp_id: 0x1
    max_rules: 100000
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100, tagged_vlans: [200], timers: {rka: 18}, stage_on: preassociate}
      2: {name: hv2, role: station}
      9: {name: nms, role: host, native_vlan: 100, macs: ['02:00:00:00:0f:01']}
      11: {name: s2-a, role: trunk, link: {dp: s2, port: 12}}
  s2:
    dp_id: 0x2
    interfaces:
      12: {name: s1-a, role: trunk, link: {dp: s1, port: 11}}
"""


def mistakes(text: str) -> list[str]:
    config, found = load_config("e.yaml", textwrap.dedent(text))
    assert (config is None) == bool(found)
    return [str(diagnostic) for diagnostic in found]


def test_the_example_becomes_a_fabric() -> None:
    config, diagnostics = load_config("e.yaml", EXAMPLE)
    timers, usual = Timers(rwd=20, rka=18), Timers(rwd=20)
    assert diagnostics == []
    assert config == BridgeConfig(
        Fabric(
            {
                1: Switch(
                    1,
                    "s1",
                    {
                        1: Interface(1, "hv1", Role.STATION, 100, (200,), timers=timers, stage_on_preassociate=True),
                        2: Interface(2, "hv2", Role.STATION, timers=usual),
                        9: Interface(9, "nms", Role.HOST, 100, macs=(0x020000000F01,)),
                        11: Interface(11, "s2-a", Role.TRUNK, peer=PortId(2, 12)),
                    },
                    100000,
                ),
                2: Switch(2, "s2", {12: Interface(12, "s1-a", Role.TRUNK, peer=PortId(1, 11))}),
            }
        ),
        ("./policies",),
        "/var/lib/evbridge",
    )


def test_ports_of_stations_and_trunks_may_have_a_speed() -> None:
    text = EXAMPLE.replace("role: station}", "role: station, speed: 1000000}")
    config, found = load_config("evbridge.yaml", text.replace("port: 12}}", "port: 12}, speed: 9}"))
    assert config is not None and found == []
    speeds = {number: port.speed for number, port in config.fabric.switches[1].interfaces.items()}
    assert speeds == {1: None, 2: 1_000_000, 9: None, 11: 9}
    assert load_config("evbridge.yaml", dump_config(config)) == (config, [])
    for wrong in ("0", "fast"):
        (mistake,) = mistakes(EXAMPLE.replace("role: station}", f"role: station, speed: {wrong}}}"))
        assert mistake.startswith("e.yaml:11:44:")
    (mistake,) = mistakes(EXAMPLE.replace("role: station}", "role: station, speeed: 5}"))
    assert "unknown key 'speeed' (did you mean 'speed'?)" in mistake


BONDS = """\
version: 1
dps:
  s1:
    dp_id: 0x1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100, bond: [1, 2]}
      4: {name: hv2, role: station, bond: [3, 4], bond_mode: lacp}
"""


def test_bonds_are_written_and_read_back_unchanged() -> None:
    config, found = load_config("e.yaml", BONDS)
    assert config is not None, found
    first, second = config.fabric.switches[1].interfaces.values()
    assert (first.links, first.bond_mode) == ((1, 2), BondMode.ACTIVE_BACKUP)
    assert (second.links, second.bond_mode) == ((4, 3), BondMode.LACP)
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_each_mistake_of_a_bond_has_its_place() -> None:
    assert mistakes(BONDS.replace("[1, 2]", "[1]").replace("[3, 4]", "[3, 4, 5, 6, 7]").replace("lacp", "lag")) == [
        "e.yaml:6:61: list should have at least 2 items after validation, not 1",
        "e.yaml:7:43: list should have at most 4 items after validation, not 5",
        "e.yaml:7:71: input should be 'active_backup' or 'lacp', not 'lag'",
    ]
    links = (
        "      5: {name: hv5, role: station, bond: [5, 2, 2]}\n      3: {name: nms, role: station, bond_mode: lacp}\n"
    )
    links += "      7: {name: hv7, role: station, bond: [8, 9]}\n      9: {name: hv9, role: station, bonds: [9, 10]}\n"
    assert mistakes(BONDS + links) == ["e.yaml:11:37: unknown key 'bonds' (did you mean 'bond'?)"]
    assert mistakes((BONDS + links).replace("bonds: [9, 10]", "native_vlan: 1")) == [
        "e.yaml:7:44: port 3 is also an interface of its own",
        "e.yaml:8:47: port 2 is already a link of the bond at port 1",
        "e.yaml:8:50: port 2 is already a link of the bond at port 1",
        "e.yaml:9:48: a bond_mode needs a bond",
        "e.yaml:10:43: port 7 is not among the links of its bond",
        "e.yaml:10:47: port 9 is also an interface of its own",
    ]


def test_a_host_has_no_bond() -> None:
    host = EXAMPLE.replace("9: {name: nms, role: host,", "9: {name: nms, role: host, bond: [9, 10],")
    assert mistakes(host) == ["e.yaml:12:34: key 'bond' does not belong here"]


@pytest.mark.parametrize("usual", ["agreed", "always", "never"])
def test_reflective_relay_of_the_file_is_that_of_ports_without_their_own(usual: str) -> None:
    text = f"""\
version: 1
reflective_relay: {usual}
dps:
  s1:
    dp_id: 0x1
    interfaces:
      1: {{name: hv1, role: station, native_vlan: 100}}
      2: {{name: hv2, role: station, native_vlan: 100, reflective_relay: agreed}}
      3: {{name: hv3, role: station, native_vlan: 100, reflective_relay: never}}
  s2:
    dp_id: 0x2
    profile: openflow13
    interfaces: {{1: {{name: hv4, role: station, native_vlan: 100}}}}
"""
    config, found = load_config("evbridge.yaml", text)
    assert config is not None and found == []
    ports = {
        port.name: port.reflective_relay.value
        for switch in config.fabric.switches.values()
        for port in switch.interfaces.values()
    }
    assert ports == {"hv1": usual, "hv2": "agreed", "hv3": "never", "hv4": "never"}
    assert load_config("evbridge.yaml", dump_config(config))[0] == config
    (mistake,) = mistakes(text.replace(f"reflective_relay: {usual}\ndps", "reflective_relay: on\ndps"))
    assert mistake.startswith("e.yaml:2:19: ") and "'agreed', 'always' or 'never'" in mistake


def test_station_ports_have_reflective_relay_by_agreement_always_or_never() -> None:
    for written, expected in (("agreed", "agreed"), ("always", "always"), ("never", "never"), (None, "agreed")):
        key = "" if written is None else f", reflective_relay: {written}"
        config, found = load_config("evbridge.yaml", EXAMPLE.replace("role: station}", f"role: station{key}}}"))
        assert config is not None, found
        assert config.fabric.switches[1].interfaces[2].reflective_relay.value == expected
        assert load_config("evbridge.yaml", dump_config(config))[0] == config
    (mistake,) = mistakes(EXAMPLE.replace("role: station}", "role: station, reflective_relay: on}"))
    assert "'agreed', 'always' or 'never'" in mistake
    (mistake,) = mistakes(EXAMPLE.replace("role: station}", "role: station, reflective_rely: never}"))
    assert "unknown key 'reflective_rely' (did you mean 'reflective_relay'?)" in mistake


@pytest.mark.parametrize(
    ("of_file", "of_port"), [("any", "announced"), ("announced", "any"), ("reserved", "any"), ("any", "reserved")]
)
def test_takeover_of_the_file_is_the_default_of_all_ports(of_file: str, of_port: str) -> None:
    text = EXAMPLE.replace("policies:", f"takeover: {of_file}\npolicies:").replace(
        "role: station}", f"role: station, takeover: {of_port}}}"
    )
    config, found = load_config("evbridge.yaml", text)
    assert config is not None, found
    takeovers = [config.fabric.switches[1].interfaces[port].takeover for port in (1, 2)]
    assert takeovers == [Takeover(of_file), Takeover(of_port)]
    again, _ = load_config("evbridge.yaml", dump_config(config))
    assert again == config


def test_limits_of_a_port_are_written_and_read_back_unchanged() -> None:
    limits = "vsis: ['AAAA*', 'ipv4:10.*'], types: [100/*], macs: ['52:54:00:0A:*']"
    config, found = load_config("evbridge.yaml", EXAMPLE.replace("role: station}", f"role: station, {limits}}}"))
    assert config is not None, found
    interface = config.fabric.switches[1].interfaces[2]
    assert interface.limits == StationLimits(("aaaa*", "ipv4:10.*"), ("100/*",), ("52:54:00:0a:*",))
    assert load_config("evbridge.yaml", dump_config(config)) == (config, [])
    (mistake,) = mistakes(EXAMPLE.replace("role: station}", "role: station, macs: ['[0-9]*']}"))
    assert "a value, or its beginning and *, was expected" in mistake


def test_stage_on_of_the_file_is_the_default_of_all_ports() -> None:
    text = EXAMPLE.replace("policies:", "stage_on: preassociate\npolicies:").replace(
        "role: station}", "role: station, stage_on: preassociate_rr}"
    )
    config, _ = load_config("e.yaml", text)
    assert config is not None
    assert [config.fabric.switches[1].interfaces[port].stage_on_preassociate for port in (1, 2)] == [True, False]


def stations(*lines: str, of_port: str = "") -> list[Interface]:
    """Return the two station ports of a file with these lines, and this in the second port; written and read again."""
    text = EXAMPLE.replace(", stage_on: preassociate}", "}").replace("role: station}", f"role: station{of_port}}}")
    text = text.replace("policies:", "\n".join((*lines, "policies:")))
    config, found = load_config("e.yaml", text)
    assert config is not None, found
    assert load_config("e.yaml", dump_config(config))[0] == config
    return [config.fabric.switches[1].interfaces[port] for port in (1, 2)]


def test_the_kind_of_station_is_a_preset_that_keys_of_the_same_place_or_a_nearer_one_replace() -> None:
    first, second = (port.treatment(False) for port in stations("station: libvirt", of_port=", station: evb"))
    assert first == OF_LIBVIRT and second == StationTreatment()
    first, second = (port.treatment(False) for port in stations("null_vid: keep", "notify_displaced: never"))
    assert first == second == StationTreatment(keep_null_vids=True, notify_displaced=NEVER)
    first, second = (
        port.treatment(False)
        for port in stations("notify_displaced: now", "stage_on: preassociate_rr", of_port=", station: libvirt")
    )
    assert first == StationTreatment() and second == OF_LIBVIRT
    of_port = ", notify_displaced: 5, stage_on: preassociate_rr"
    first, second = (port.treatment(True) for port in stations("station: auto", "null_vid: fill", of_port=of_port))
    assert first == replace(OF_LIBVIRT, keep_null_vids=False)
    assert second == StationTreatment(notify_displaced=5.0, ignores_refusals=True)


@pytest.mark.parametrize("value", ["0", "3601", "-1", "1.5", "later", "true"])
def test_a_notice_at_no_time_is_a_mistake_at_its_place(value: str) -> None:
    assert mistakes(f"version: 1\ndps: {{}}\nnotify_displaced: {value}\n") == [
        "e.yaml:3:19: now, never or a number of seconds from 1 to 3600 was expected"
    ]


def test_a_station_of_no_kind_and_a_misspelt_key_are_mistakes_at_their_places() -> None:
    first, second = mistakes("version: 1\nstation: xen\nnul_vid: keep\ndps: {}\n")
    assert first.startswith("e.yaml:2:10: ") and "libvirt" in first
    assert second.startswith("e.yaml:3:1: ") and "null_vid" in second


def test_a_topology_is_written_and_read_back_unchanged() -> None:
    config = BridgeConfig(two_switch.fabric(32), ("policies/web server", "true", '"quoted"'), "/tmp/é")
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_queriers_are_written_and_read_back_unchanged() -> None:
    usual = Querying(False, Timers3(query_interval=60.0))
    snooping = Snooping(usual, {200: replace(usual, on=True), 300: Querying(False, Timers3(robustness=3))})
    text = dump_config(BridgeConfig(Fabric(), multicast=snooping))
    assert "multicast: {querier: false, query_interval: 60, vlans: {200: {querier: true}, 300: {" in text
    assert load_config("e.yaml", text) == (BridgeConfig(Fabric(), multicast=snooping), [])


def test_a_querier_that_cannot_be_is_a_mistake_at_its_place() -> None:
    assert mistakes("version: 1\ndps: {}\nmulticast: {querier: maybe, vlans: {4095: {}}}\n") == [
        "e.yaml:3:22: input should be a valid boolean, not 'maybe'",
        "e.yaml:3:37: key 4095: input should be less than or equal to 4094, not 4095",
    ]


def test_how_long_what_is_under_way_is_passed_on_is_written_and_read_back_unchanged() -> None:
    config = BridgeConfig(Fabric(), forward_in_flight=0)
    assert load_config("e.yaml", dump_config(config)) == (config, [])
    assert "forward_in_flight" not in dump_config(BridgeConfig(Fabric()))


def test_the_reader_of_openflow_messages_is_written_and_read_back_unchanged() -> None:
    config = BridgeConfig(Fabric(), openflow_reader="ryu")
    assert load_config("e.yaml", dump_config(config)) == (config, [])
    assert "openflow_reader" not in dump_config(BridgeConfig(Fabric()))
    (mistake,) = mistakes("version: 1\ndps: {}\nopenflow_reader: none\n")
    assert mistake.startswith("e.yaml:3:18: ")


@pytest.mark.parametrize("value", ["-1", "61", "0.5", "ever"])
def test_it_is_whole_seconds_and_not_many(value: str) -> None:
    (mistake,) = mistakes(f"version: 1\ndps: {{}}\nforward_in_flight: {value}\n")
    assert mistake.startswith("e.yaml:3:20: ")


def test_how_long_totals_are_remembered_is_written_and_read_back_unchanged() -> None:
    config = BridgeConfig(Fabric(), statistics_retention=Retention(600, 0))
    assert load_config("e.yaml", dump_config(config)) == (config, [])
    assert "retention" not in dump_config(BridgeConfig(Fabric()))
    (mistake,) = mistakes("version: 1\ndps: {}\nstatistics_retention: {secs: -1}\n")
    assert mistake.startswith("e.yaml:3:30: ")


def test_limits_of_timers_are_written_and_read_back_unchanged() -> None:
    text = """\
        version: 1
        timer_limits: {rka: 22}
        dps:
          s1:
            dp_id: 1
            interfaces:
              1: {name: hv1, role: station, timer_limits: {rwd: 18}}
              2: {name: hv2, role: station}
        """
    config, found = load_config("e.yaml", textwrap.dedent(text))
    assert config is not None and not found
    limits = [interface.timer_limits for interface in config.fabric.switches[1].interfaces.values()]
    assert limits == [TimerLimits(rwd=18, rka=22), TimerLimits(rka=22)]
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_names_for_rest_are_written_and_read_back_unchanged() -> None:
    config = BridgeConfig(
        Fabric(), rest=RestAccess(("evb.example.net", "2001:db8::5"), "tokens", "pki/rest.pem", "rest.key")
    )
    assert load_config("e.yaml", dump_config(config)) == (config, [])
    (mistake,) = mistakes("version: 1\ndps: {}\nrest: {names: ['http://evb']}\n")
    assert mistake.startswith("e.yaml:3:16: ")


@pytest.mark.parametrize(("given", "column"), [("certificate: a.pem", 21), ("private_key: a.key", 21)])
def test_half_of_what_tls_needs_is_a_mistake(given: str, column: int) -> None:
    (mistake,) = mistakes(f"version: 1\ndps: {{}}\nrest: {{{given}}}\n")
    assert mistake == f"e.yaml:3:{column}: TLS needs certificate and private_key"


def test_an_empty_fabric_is_written_and_read_back_unchanged() -> None:
    config = BridgeConfig(Fabric({5: Switch(5, "alone")}))
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_mistakes_of_form_come_all_at_once() -> None:
    assert mistakes(
        """\
        version: 1
        policy: [./policies]
        timers: {r: 9}
        dps:
          s1:
            dp_id: 0x1
            interfaces:
              1: {name: hv1, role: station, native_vlan: 4095}
              2: {name: hv2, role: hypervisor}
              3: {name: hv3}
              "*": {name: nms, role: host, macs: ['02:00:00:00:0f:01']}
              4: {name: nms, role: host, macs: ['03:00:00:00:0f:01', 5]}
              65280: {name: hv4, role: station}
              5: {name: hv5, role: station, addresses: []}
        """
    ) == [
        "e.yaml:2:1: unknown key 'policy' (did you mean 'policies'?)",
        "e.yaml:3:13: input should be less than or equal to 7, not 9",
        "e.yaml:8:50: input should be less than or equal to 4094, not 4095",
        "e.yaml:9:28: 'hypervisor' is not one of 'station', 'local_station', 'vsi', 'host', 'pod', 'trunk', 'mirror'",
        "e.yaml:10:7: missing key 'role'",
        "e.yaml:11:7: key '*': a port number, or a name of VSI ports such as tap*, was expected",
        "e.yaml:12:41: 03:00:00:00:0f:01 is not the address of an end system",
        "e.yaml:12:62: a MAC address was expected, such as '02:00:00:00:0f:01'",
        "e.yaml:13:7: key 65280: a port number from 1 to 65279 was expected",
        "e.yaml:14:37: key 'addresses' does not belong here",
    ]


def test_parts_that_contradict_each_other_come_all_at_once() -> None:
    assert mistakes(
        """\
        version: 1
        dps:
          s1:
            dp_id: 0x1
            interfaces:
              1: {name: hv1, role: station, native_vlan: 100, tagged_vlans: [100, 200, 200]}
              9: {name: nms, role: host, native_vlan: 100, macs: ['02:00:00:00:0f:01']}
              11: {name: a, role: trunk, link: {dp: s2, port: 11}}
              12: {name: a, role: trunk, link: {dp: s2, port: 9}}
              13: {name: a, role: trunk, link: {dp: s3, port: 12}}
              14: {name: a, role: trunk, link: {dp: s1, port: 12}}
          s2:
            dp_id: 0x1
            interfaces:
              9: {name: nms, role: host, tagged_vlans: [200, 100], macs: ['02:00:00:00:0f:01']}
              11: {name: a, role: trunk, link: {dp: s1, port: 12}}
              10: {name: a, role: host, macs: ['02:00:00:00:0f:02']}
        """
    ) == [
        "e.yaml:6:70: VLAN 100 is already the native VLAN",
        "e.yaml:6:80: VLAN 200 is given twice",
        "e.yaml:8:40: port 11 of s2 leads to port 12 of s1, not back here",
        "e.yaml:9:55: port 9 of s2 is not a trunk",
        "e.yaml:10:45: there is no dp 's3'",
        "e.yaml:11:40: a trunk leads to another switch",
        "e.yaml:13:12: dp_id 0x1 is already used by s1",
        "e.yaml:15:67: 02:00:00:00:0f:01 is already configured at port 9 of s1",
        "e.yaml:16:40: port 12 of s1 leads to port 9 of s2, not back here",
        "e.yaml:17:11: a host needs a native_vlan or tagged_vlans",
    ]


def test_the_same_address_in_two_vlans_is_two_end_systems() -> None:
    twin = "      9: {name: twin, role: host, native_vlan: 300, macs: ['02:00:00:00:0f:01']}\n"
    assert mistakes(EXAMPLE + twin) == []


def test_more_trunks_than_metadata_can_number_are_a_mistake() -> None:
    trunks = [
        "".join(
            f"      {port}: {{name: t, role: trunk, link: {{dp: {other}, port: {port}}}}}\n" for port in range(1, 65)
        )
        for other in ("s2", "s1")
    ]
    text = "version: 1\ndps:\n" + "".join(
        f"  s{number}:\n    dp_id: {number}\n    interfaces:\n{lines}" for number, lines in enumerate(trunks, 1)
    )
    assert mistakes(text) == ["e.yaml:6:7: more than 63 trunks", "e.yaml:73:7: more than 63 trunks"]


# --- appliances -----------------------------------------------------------------------------------
APPLIANCES = """\
version: 1
dps:
  s1:
    dp_id: 0x1
    interfaces:
      1: {name: one, role: host, native_vlan: 100, macs: ['02:00:00:00:0a:01'], appliance: tcp_proxy}
      2: {name: b, role: host, native_vlan: 200, tagged_vlans: [%d], macs: ['02:00:00:00:0a:02'], appliance: tcp_proxy}
  s2:
    dp_id: 0x2
    interfaces:
      1: {name: three, role: host, native_vlan: 100, macs: ['02:00:00:00:0a:03'%s], appliance: %s}
"""


def test_an_appliance_is_a_host_port_of_its_own_kind_and_is_written_back() -> None:
    config, found = load_config("e.yaml", APPLIANCES % (300, "", "tcp_proxy"))
    assert config is not None, found
    one = config.fabric.switches[1].interfaces[2]
    assert one == Interface(2, "b", Role.HOST, 200, (300,), macs=(0x020000000A02,), appliance="tcp_proxy")
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_a_switch_has_one_appliance_of_a_kind_in_a_vlan_and_it_has_one_address() -> None:
    assert mistakes(APPLIANCES % (100, ", '02:00:00:00:0a:04'", "tcp_proxy")) == [
        "e.yaml:7:111: port 1 is already the appliance tcp_proxy of VLAN 100 at this switch",
        "e.yaml:11:60: an appliance tcp_proxy has one address, not 2",
    ]


def test_other_appliances_are_not_known() -> None:
    assert mistakes(APPLIANCES % (300, "", "toaster")) == ["e.yaml:11:94: input should be 'tcp_proxy', not 'toaster'"]


# --- load balancers -------------------------------------------------------------------------------
BALANCED = """\
version: 1
dps:
  s1:
    dp_id: 0x1
    interfaces:
      1: {name: one, role: host, native_vlan: 100, macs: ['02:00:00:00:0a:01']}
load_balancers:
  web:
    vlan: 100
    mac: '02:00:00:00:64:c8'
    addresses: [10.0.100.200, 'fd00:100::c8']
    port: http
    backends:
      one: {mac: '02:00:00:00:0a:01', addresses: [10.0.100.1, 'fd00:100::1'], weight: 3}
      two: {mac: '52:54:00:00:00:02', addresses: [10.0.100.2], port: 8080}
  dns:
    vlan: 200
    mac: '02:00:00:00:64:c8'
    addresses: [10.0.200.200]
    protocol: udp
    port: 53
    max_connections: 7
    timeouts: {opening: 1, closing: 2}
    backends:
      one: {mac: '52:54:00:00:00:03', addresses: [10.0.200.3]}
"""


DNS, WEB = numbers_of(("dns", "web"), MOST_BALANCERS).values()


def test_a_load_balancer_keeps_its_number_when_others_come_or_go() -> None:
    """Else connections would go to back ends of another one while switches are given new rules."""
    section = BALANCED.split("load_balancers:\n")[1].split("  dns:")[1]
    more = BALANCED.replace("  dns:", "  a:" + section.replace("10.0.200.200", "10.0.200.201") + "  dns:")
    config, found = load_config("e.yaml", more)
    assert config is not None, found
    numbers = {balancer.name: balancer.number for balancer in config.fabric.balancers}
    assert list(numbers) == ["a", "dns", "web"] and (numbers["dns"], numbers["web"]) == (DNS, WEB)


def test_load_balancers_are_numbered_by_name_and_written_back() -> None:
    config, found = load_config("e.yaml", BALANCED)
    assert config is not None, found
    web_4, web_6, dns_4 = (ip_address(address) for address in ("10.0.100.200", "fd00:100::c8", "10.0.200.200"))
    one = Backend("one", 0x020000000A01, (ip_address("10.0.100.1"), ip_address("fd00:100::1")), 80, 3)
    two = Backend("two", 0x525400000002, (ip_address("10.0.100.2"),), 8080)
    three = Backend("one", 0x525400000003, (ip_address("10.0.200.3"),), 53)
    assert config.fabric.balancers == (
        LoadBalancer(DNS, "dns", 200, 0x0200000064C8, (dns_4,), TransportProtocol.UDP, 53, (three,), 7, 1, 60, 2),
        LoadBalancer(WEB, "web", 100, 0x0200000064C8, (web_4, web_6), TransportProtocol.TCP, 80, (one, two)),
    )
    assert load_config("e.yaml", dump_config(config)) == (config, [])


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("10.0.100.200", "10.0.100.2", ["15:51: 10.0.100.2 is the address of the load balancer itself"]),
        ("'fd00:100::1'", "10.0.100.11", ["11:31: no back end has an IPv6 address"]),
        (
            "two: {mac: '52:54:00:00:00:02'",
            "two: {mac: '02:00:00:00:64:c8'",
            ["10:10: 02:00:00:00:64:c8 is the address of back end two of web"],
        ),
        (
            "mac: '02:00:00:00:64:c8'",
            "mac: '02:00:00:00:0a:01'",
            [
                "10:10: 02:00:00:00:0a:01 is the address of back end one of web",
                "10:10: 02:00:00:00:0a:01 is the address of port 1 of s1",
            ],
        ),
        ("port: 8080", "port: 80, weight: 0", ["15:82: input should be greater than or equal to 1, not 0"]),
        ("[10.0.100.2], port: 8080", "[10.0.100.1]", ["15:51: 10.0.100.1 port 80 is already back end one"]),
        ("10.0.100.200,", "10.0.100.200, 10.0.100.200,", ["11:31: 10.0.100.200 tcp port 80 is already the service"]),
        ("port: http", "port: 80-81", ["12:11: one port was expected"]),
        ("port: http", "port: 0", ["12:11: one port was expected"]),
        ("port: http", "port: htpp", ["12:11: 'htpp' is not a value of this field; known names: "]),
        ("[10.0.200.200]", "[224.0.0.1]", ["19:17: 224.0.0.1 is not the address of an end system"]),
        ("[10.0.200.200]", "[10]", ["19:17: an IP address was expected, such as '10.0.100.200'"]),
        ("protocol: udp", "protocol: sctp", ["20:15: input should be 'tcp' or 'udp', not 'sctp'"]),
        ("  dns:\n    vlan: 200\n", "  a/b:\n    vlan: 200\n", ["16:3: key 'a/b': string should match pattern"]),
    ],
)
def test_each_mistake_of_a_load_balancer_has_its_place(old: str, new: str, found: list[str]) -> None:
    told = mistakes(BALANCED.replace(old, new, 1))
    assert len(told) == len(found)
    assert all(mistake.startswith(f"e.yaml:{start}") for mistake, start in zip(told, found, strict=True)), told


def test_a_service_and_an_address_are_one_load_balancers() -> None:
    twice = BALANCED.replace("vlan: 200", "vlan: 100").replace("10.0.200.200", "10.0.100.200")
    assert mistakes(twice.replace("protocol: udp\n    port: 53", "port: 80")) == [
        "e.yaml:19:17: 10.0.100.200 tcp port 80 is already the service of web"
    ]
    head, tail = twice.split("  dns:")
    other = f"{head}  dns:{tail.replace('64:c8', '64:c9')}"
    assert mistakes(other) == ["e.yaml:18:10: 10.0.100.200 has the MAC address 02:00:00:00:64:c8 in web"]
    assert mistakes(twice) == []


# --- VSI managers ---------------------------------------------------------------------------------
MANAGED = """\
version: 1
vsi_managers:
  unlisted: refuse
  managers:
    vcm1: local
    vcm2: refuse
    deadbeef: {url: "http://10.0.0.5:8080/types", timeout: 1.5, lifetime: 60, max_size: 5000}
    "fd00::5": {url: "https://manager.example/", ca_file: certs/ca.pem}
    7: {url: "http://a.example/"}
dps: {}
"""


def test_vsi_managers_are_known_by_their_octets_and_written_back() -> None:
    config, found = load_config("e.yaml", MANAGED)
    assert config is not None, found
    managers = config.vsi_managers
    assert managers.unlisted is managers.source(ManagerId(b"somebody else's!")) is Here.REFUSED
    assert managers.listed == {
        ManagerId(b"vcm1" + bytes(12)): Here.LOCAL,
        ManagerId(b"vcm2" + bytes(12)): Here.REFUSED,
        ManagerId(bytes.fromhex("deadbeef") + bytes(12)): HttpSource("http://10.0.0.5:8080/types/", 1.5, 60, 5000),
        ManagerId(b"\xfd" + bytes(14) + b"\x05"): HttpSource("https://manager.example/", ca_file="certs/ca.pem"),
        ManagerId(bytes(15) + b"\x07"): HttpSource("http://a.example/"),
    }
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_without_a_section_every_manager_is_local() -> None:
    config, _ = load_config("e.yaml", "version: 1\ndps: {}\n")
    assert config is not None and config.vsi_managers.source(ManagerId(b"x" * 16)) is Here.LOCAL
    assert "vsi_managers" not in dump_config(config)


def test_nobody_in_particular_is_local_unless_listed() -> None:
    config, _ = load_config("e.yaml", "version: 1\nvsi_managers: {unlisted: refuse}\ndps: {}\n")
    assert config is not None and config.vsi_managers.source(ManagerId()) is Here.LOCAL
    config, _ = load_config("e.yaml", 'version: 1\nvsi_managers: {managers: {"::": refuse}}\ndps: {}\n')
    assert config is not None and config.vsi_managers.source(ManagerId()) is Here.REFUSED


def test_mistakes_of_vsi_managers_come_all_at_once() -> None:
    assert mistakes(
        """\
        version: 1
        vsi_managers:
          unlisted: remote
          managers:
            abc: local
            1.5: local
            300: local
            vcm1: nope
            a_: {url: "ftp://a/", timeout: 0}
            b_: {lifetime: 3}
            c_: {url: "http://user@a/"}
            d_: {url: "http://a/?x"}
            e_: {url: "http://a b/"}
            f_: {url: "http://a:99999/"}
            g_: {url: "http://a/", ca_fil: x}
        dps: {}
        """
    ) == [
        "e.yaml:3:13: input should be 'local' or 'refuse', not 'remote'",
        "e.yaml:5:5: key 'abc': 'abc': a hexadecimal Manager ID has an even number of digits, 2 to 32",
        "e.yaml:6:5: key '1.5': a VSI Manager ID was expected: put it in quotation marks",
        "e.yaml:7:5: key 300: 300 does not fit one octet; put a hexadecimal number in quotation marks",
        "e.yaml:8:11: local, refuse or a mapping with a url was expected",
        "e.yaml:9:15: 'ftp://a/' is not a URL of http or https with a host",
        "e.yaml:9:36: input should be greater than or equal to 0.1, not 0",
        "e.yaml:10:5: missing key 'url'",
        "e.yaml:11:15: the URL of a VSI manager must not have a user, a query or a fragment",
        "e.yaml:12:15: the URL of a VSI manager must not have a user, a query or a fragment",
        "e.yaml:13:15: 'http://a b/' is not a URL",
        "e.yaml:14:15: Port out of range 0-65535",
        "e.yaml:15:28: unknown key 'ca_fil' (did you mean 'ca_file'?)",
    ]


def test_vsi_managers_that_contradict_each_other() -> None:
    assert mistakes(
        """\
        version: 1
        vsi_managers:
          managers:
            10.0.0.1: local
            "::ffff:10.0.0.1": refuse
            vcm1: {url: "http://a/", ca_file: x}
        dps: {}
        """
    ) == [
        "e.yaml:5:24: '::ffff:10.0.0.1' is the same VSI Manager ID as '10.0.0.1'",
        "e.yaml:6:39: ca_file needs a URL of https",
    ]


PLAIN = EXAMPLE.replace("dp_id: 0x2", "dp_id: 0x2\n    profile: openflow13\n    meters: false")


def test_a_profile_is_written_and_read_back_unchanged() -> None:
    config, found = load_config("e.yaml", PLAIN)
    assert config is not None and found == []
    first, second = config.fabric.switches.values()
    assert (first.profile, first.metered, second.profile, second.metered) == (
        *(Profile.OPEN_VSWITCH, True),
        *(Profile.OPENFLOW13, False),
    )
    assert all(interface.extended for interface in first.interfaces.values())
    assert not any(interface.extended for interface in second.interfaces.values())
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_what_a_profile_excludes_is_a_mistake_at_its_place() -> None:
    assert mistakes(
        """\
        version: 1
        load_balancers:
          web: {vlan: 100, mac: '02:00:00:00:bb:01', addresses: [10.0.100.200], port: 80,
                backends: {one: {mac: '02:00:00:00:0f:01', addresses: [10.0.100.1]}}}
        dps:
          s1:
            dp_id: 0x1
            profile: openflow13
            interfaces:
              1: {name: p, role: host, native_vlan: 100, macs: ['02:00:00:00:0f:01'], appliance: tcp_proxy}
          s2: {dp_id: 0x2, meters: false, interfaces: {}}
          s3: {dp_id: 0x3, profile: openflow10, interfaces: {}}
        """
    ) == ["e.yaml:12:29: input should be 'openvswitch' or 'openflow13', not 'openflow10'"]
    assert mistakes(
        """\
        version: 1
        load_balancers:
          web: {vlan: 100, mac: '02:00:00:00:bb:01', addresses: [10.0.100.200], port: 80,
                backends: {one: {mac: '02:00:00:00:0f:01', addresses: [10.0.100.1]}}}
        dps:
          s1:
            dp_id: 0x1
            profile: openflow13
            interfaces:
              1: {name: p, role: host, native_vlan: 100, macs: ['02:00:00:00:0f:01'], appliance: tcp_proxy}
              2: {name: hv1, role: station, bond: [2, 3]}
          s2: {dp_id: 0x2, meters: false, interfaces: {}}
        """
    ) == [
        "e.yaml:8:14: load_balancers need the extensions of Open vSwitch at every dp",
        "e.yaml:10:90: an appliance tcp_proxy needs the extensions of Open vSwitch",
        "e.yaml:11:43: a bond needs the extensions of Open vSwitch",
        "e.yaml:12:28: only a dp of the profile openflow13 may be without meters",
    ]
    assert mistakes(
        """\
        version: 1
        groups: {1000: 100}
        dps:
          s1:
            dp_id: 0x1
            profile: openflow13
            groups: {1000: 200}
            interfaces:
              1: {name: hv, role: station, native_vlan: 200, reflective_relay: always}
              2: {name: hw, role: station, native_vlan: 200, reflective_relay: never}
        """
    ) == [
        "e.yaml:7:13: groups of a dp need the extensions of Open vSwitch",
        "e.yaml:9:72: it needs the extensions of Open vSwitch",
    ]


# --- gates ----------------------------------------------------------------------------------------
def test_how_gates_open_survives_a_round_trip_and_is_rules_by_default() -> None:
    config, found = load_config("e.yaml", EXAMPLE.replace("max_rules: 100000", "gate: meter"))
    assert config is not None and not found
    assert [switch.gate for switch in config.fabric.switches.values()] == [GateMode.METER, GateMode.RULES]
    again, found = load_config("e.yaml", dump_config(config))
    assert again is not None and not found
    assert again.fabric == config.fabric


def test_copies_to_both_ends_survive_a_round_trip_and_are_off_by_default() -> None:
    plain, _ = load_config("e.yaml", EXAMPLE)
    config, found = load_config("e.yaml", "converge: copy\n" + EXAMPLE)
    assert plain is not None and plain.fabric.converge is Converge.SWITCH
    assert config is not None and not found and config.fabric.converge is Converge.COPY
    again, found = load_config("e.yaml", dump_config(config))
    assert again is not None and not found and again.fabric == config.fabric


def test_copies_need_the_extensions_at_every_switch() -> None:
    _, found = load_config("e.yaml", "converge: copy\n" + PLAIN)
    assert any("copies need the extensions of Open vSwitch at every dp" in str(mistake) for mistake in found)


def test_a_meter_needs_the_extensions() -> None:
    _, found = load_config("e.yaml", PLAIN.replace("meters: false", "gate: meter"))
    assert any("a gate with a meter needs the extensions of Open vSwitch" in str(mistake) for mistake in found)
