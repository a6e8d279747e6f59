"""Probes of appliances in a switch: the way in, and that of their answers to the controller.

A probe goes through the tables as a frame for the VM, by its gate, so a staged instance gets none.  What comes back is
looked for where all frames of an instance pass by, and nothing else does: in STEER_BACK.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from ryu_apps.evb.flow.actions import CONTROLLER, Action, Output
from ryu_apps.evb.flow.match import VLAN_PRESENT, MatchFields, match
from ryu_apps.evb.flow.rule import Meter, Rule
from ryu_apps.evb.pipeline.tables import PROBE_METERS, CookieKind, Priority, Table, cookie
from ryu_apps.evb.topology.appliance import MOST_APPLIANCES, Appliance, ApplianceInstance

#: The first 16 bits of all Ethernet addresses of probes, which are locally administered, and their mask.
PREFIX, PREFIX_MASK = 0x0EEB00000000, 0xFFFF00000000
#: Source and destination of frames through a bump in the wire.  The latter sends none, so no bridge there learns it.
INNER, OUTER = PREFIX, PREFIX | 1
#: Sender of neighbour solicitations, a link-local address.
PROBER = IPv6Address("fe80::eeb")
_ARP, _REQUEST, _REPLY = 0x0806, 1, 2
_IPV6, _ICMPV6, _ADVERTISEMENT = 0x86DD, 58, 136
#: Rate (frames a second) and burst of the answers of one instance.
_RATE, _BURST = 10, 10
#: Above all other rules of STEER_BACK.
_PROBES = Priority.EXACT + 200
_METERS_EACH = 8
#: Ids of meters of appliances, whatever their number.
ALL_PROBE_METERS = range(PROBE_METERS, PROBE_METERS + _METERS_EACH * (MOST_APPLIANCES + 1))
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def probe_rules(appliances: tuple[Appliance, ...]) -> Iterator[Rule]:
    """The rules of a switch for the appliances of its fabric that are probed."""
    probed = [appliance for appliance in appliances if appliance.probing is not None]
    if probed:
        ours = match(in_port=CONTROLLER, eth_src=(PREFIX, PREFIX_MASK))
        yield Rule(Table.INGRESS, Priority.EXACT + 1, ours, _COOKIE, goto=Table.FORWARD)
    to_controller: tuple[Action, ...] = (Output(CONTROLLER),)
    for appliance in probed:
        for meter, instance in _metered(appliance):
            answer = match(**_answer(appliance, instance))
            yield Rule(Table.STEER_BACK, _PROBES, answer, _COOKIE, to_controller, meter=meter)


def probe_meters(appliances: tuple[Appliance, ...]) -> tuple[Meter, ...]:
    """The meters of those rules: each instance has its own, so that none uses up the answers of another one."""
    probed = (appliance for appliance in appliances if appliance.probing is not None)
    return tuple(Meter(meter, _RATE, _BURST) for appliance in probed for meter, _ in _metered(appliance))


def _metered(appliance: Appliance) -> Iterator[tuple[int, ApplianceInstance]]:
    first = PROBE_METERS + appliance.number * _METERS_EACH
    return ((first + index, instance) for index, instance in enumerate(appliance.instances))


def _answer(appliance: Appliance, instance: ApplianceInstance) -> MatchFields:
    """Match of what comes back from a bump in the wire, by its outer leg, or from a router."""
    if not instance.mac:
        passed: MatchFields = {"eth_type": _ARP, "arp_op": _REQUEST, "arp_spa": 0}
        return {"vlan_vid": VLAN_PRESENT | instance.outside, "eth_dst": OUTER} | passed
    answer: MatchFields = {"eth_type": _ARP, "arp_op": _REPLY, "arp_tpa": 0}
    if isinstance(instance.address, IPv6Address):
        answer = {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": _ADVERTISEMENT, "ipv6_dst": int(PROBER)}
    ends: MatchFields = {"eth_src": instance.mac, "eth_dst": (PREFIX, PREFIX_MASK)}
    return {"vlan_vid": VLAN_PRESENT | appliance.vid} | ends | answer
