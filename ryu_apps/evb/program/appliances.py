"""End systems that a service works with: where each switch finds them.

The bodies of VSI types are the same at every switch; what differs from switch to switch is here.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.pipeline import FROM_PROXY, PROXY_FOUND, Kind, Priority, Table, cookie
from ryu_apps.evb.flow.rule import VLAN_PRESENT, Change, LoadBits, Rule, SetField, match
from ryu_apps.evb.topology.fabric import Fabric, Interface, Role

#: The service of transparent proxies.
TCP_PROXY = "tcp_proxy"
#: Above the gates of VSIs that own a whole VID, below those of host ports and trunks.
_IMPOSTORS = (Priority.WIDE + Priority.EXACT) // 2

_COOKIE = cookie(Kind.INFRASTRUCTURE)


def appliances(fabric: Fabric, dpid: int) -> Change:
    """What a switch needs to know of the appliances of its fabric."""
    everywhere = [one for port in fabric.ports(Role.HOST) if (one := fabric.interface(port)) is not None]
    here = fabric.switches[dpid].interfaces.values()
    return Change(
        add=(
            *(rule for one in everywhere if one.appliance == TCP_PROXY for rule in _known(one)),
            *(rule for one in here if one.appliance == TCP_PROXY for rule in _nearest(one)),
        )
    )


def _known(interface: Interface) -> Iterator[Rule]:
    for mac in interface.macs:
        yield Rule(Table.INGRESS, _IMPOSTORS, match(eth_src=mac), _COOKIE)
        for vid in interface.vids:
            fields = match(vlan_vid=VLAN_PRESENT | vid, eth_src=mac)
            yield Rule(Table.PROXY_SOURCES, Priority.EXACT, fields, _COOKIE, apply=(LoadBits(FROM_PROXY, 1),))


def _nearest(interface: Interface) -> Iterator[Rule]:
    for vid in interface.vids:
        found = (SetField("eth_dst", interface.macs[0]), LoadBits(PROXY_FOUND, 1))
        yield Rule(Table.PROXY_HERE, Priority.EXACT, match(vlan_vid=VLAN_PRESENT | vid), _COOKIE, apply=found)
