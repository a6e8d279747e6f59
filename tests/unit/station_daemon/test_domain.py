"""VSIs in the XML of a libvirt domain."""

from __future__ import annotations

import pytest

from ryu_apps.station_daemon.domain import DomainError, vsis_of

VSI = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
DOMAIN = """\
<domain>
  <metadata>
    <evb:vsis xmlns:evb="urn:evbridge:station:1">
      <evb:vsi vsi="{vsi}" mac="52:54:00:AA:00:01" type="10"{more}/>
    </evb:vsis>
  </metadata>
  <devices><interface type='bridge'><mac address='52:54:00:aa:00:01'/>{interface}</interface></devices>
</domain>
"""
AT_SWITCH = "<virtualport type='openvswitch'/>"


def described(interface: str = "", more: str = "") -> dict[str, object]:
    (vsi,) = vsis_of(DOMAIN.format(vsi=VSI, interface=interface, more=more), None)
    return vsi


@pytest.mark.parametrize("interface", ["", "<target dev='vnet3'/>", "<virtualport type='802.1Qbg'/>"])
def test_an_interface_at_an_uplink_has_no_port(interface: str) -> None:
    assert described(interface) == {"vsi": VSI, "type": 10, "filters": ["0-52:54:00:aa:00:01"]}


def test_a_tap_at_an_open_vswitch_is_told_by_its_name() -> None:
    assert described(AT_SWITCH + "<target dev='tapweb'/>")["port"] == "tapweb"


def test_a_port_in_the_metadata_comes_first() -> None:
    assert described(AT_SWITCH + "<target dev='tapweb'/>", ' port="tapdb"')["port"] == "tapdb"


def test_a_tap_without_a_name_is_refused_with_what_it_needs() -> None:
    with pytest.raises(DomainError, match=r"52:54:00:aa:00:01 is at an Open vSwitch.*<target dev='...'/>"):
        described(AT_SWITCH)


@pytest.mark.parametrize("target", ["", "<target dev='vnet3'/>"])
def test_a_port_that_libvirt_names_itself_is_told_by_its_interface_id(target: str) -> None:
    told = described(f"<virtualport type='openvswitch'><parameters interfaceid='one'/></virtualport>{target}")
    assert ("port" in told, told["iface_id"]) == (False, "one")


def test_the_name_that_a_domain_gives_its_port_counts_before_its_interface_id() -> None:
    given = "<virtualport type='openvswitch'><parameters interfaceid='one'/></virtualport><target dev='tapweb'/>"
    told = described(given)
    assert (told["port"], "iface_id" in told) == ("tapweb", False)
    assert described(given, ' iface_id="two"')["iface_id"] == "two"
