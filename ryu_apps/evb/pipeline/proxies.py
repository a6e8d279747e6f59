"""Appliances, such as transparent proxies: rules by which each switch finds and recognises them.

The bodies of VSI types are the same at every switch; the rules here differ from switch to switch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.actions import (
    ClearInPort,
    RegLoad,
    Resubmit,
    SetField,
)
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import FROM_PROXY, PROXY_FOUND, CookieKind, Priority, Table, cookie
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role

#: The service of transparent proxies.
TCP_PROXY = "tcp_proxy"
#: Above the gates of VSIs that own a whole VID, below those of host ports and trunks.
_IMPOSTORS = (Priority.WIDE + Priority.EXACT) // 2

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def appliances(fabric: Fabric, dpid: int) -> RuleChange:
    """The rules of one switch for the appliances of its fabric."""
    everywhere = [interface for port in fabric.ports(Role.HOST) if (interface := fabric.interface(port)) is not None]
    if not fabric.switches[dpid].extended:
        proxies = (interface for interface in everywhere if interface.appliance == TCP_PROXY)
        return RuleChange(add=tuple(_impostors(proxies)))
    here = fabric.switches[dpid].interfaces.values()
    return RuleChange(
        add=(
            *(rule for interface in everywhere if interface.appliance == TCP_PROXY for rule in _known(interface)),
            *(rule for interface in here if interface.appliance == TCP_PROXY for rule in _nearest(interface)),
            *_errors([interface for interface in everywhere if interface.appliance == TCP_PROXY]),
        )
    )


def _known(interface: Interface) -> Iterator[Rule]:
    yield from _impostors([interface])
    for mac in interface.macs:
        for vid in interface.vids:
            fields = match(vlan_vid=VLAN_PRESENT | vid, eth_src=mac)
            yield Rule(Table.PROXY_SOURCES, Priority.EXACT, fields, _COOKIE, apply=(RegLoad(FROM_PROXY, 1),))


def impostor(vid: int, mac: int) -> Rule:
    """Drop frames with the address of an appliance as source that come in at a port of a whole VLAN."""
    return Rule(Table.INGRESS, _IMPOSTORS, match(vlan_vid=VLAN_PRESENT | vid, eth_src=mac), _COOKIE)


def _impostors(proxies: Iterable[Interface]) -> Iterator[Rule]:
    return (impostor(vid, mac) for proxy in proxies for vid in proxy.vids for mac in proxy.macs)


def _nearest(interface: Interface) -> Iterator[Rule]:
    for vid in interface.vids:
        found = (SetField("eth_dst", interface.macs[0]), RegLoad(PROXY_FOUND, 1))
        yield Rule(Table.PROXY_HERE, Priority.EXACT, match(vlan_vid=VLAN_PRESENT | vid), _COOKIE, apply=found)


def _errors(proxies: list[Interface]) -> Iterator[Rule]:
    """Copies of an ICMP error to all proxies of its VLAN at any switch; errors sent by a proxy are excluded."""
    for vid in sorted({vid for proxy in proxies for vid in proxy.vids}):
        macs = [mac for proxy in proxies if vid in proxy.vids for mac in proxy.macs[:1]]
        copies = (action for mac in macs for action in (SetField("eth_dst", mac), Resubmit(Table.FORWARD)))
        of_others = match(vlan_vid=VLAN_PRESENT | vid, reg2=(0, 1 << FROM_PROXY.offset))
        # A copy may have to leave by the ingress port of the error.
        yield Rule(Table.PROXY_ERRORS, Priority.EXACT, of_others, _COOKIE, (ClearInPort(), *copies))
