"""Tables, frames and departures in words."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.explanation.cluster import Owners
from ryu_apps.evb.explanation.journey import Departure, End, Visit, drops
from ryu_apps.evb.explanation.sources import Source, source_of, vsi_of, vsi_words
from ryu_apps.evb.flow.match import ANY_GROUP, VLAN_PRESENT, match
from ryu_apps.evb.pipeline.tables import DIRECTION_SHIFT, VSI_BITS, VSI_SHIFT, Direction, Table
from ryu_apps.evb.simulation.steps import Grouped, Learned, LookedUp, MeterPassed, Sent, Step

#: The question that a table answers.
TITLES: dict[int, str] = {
    Table.ADMIT: "station protocols, reserved addresses, tags",
    Table.TRANSLATE_IN: "local VID to relay VID",
    Table.INGRESS: "source",
    Table.GUARD: "frames that no VM may send",
    Table.CLAIM: "addresses of other end systems",
    Table.ANTISPOOF: "anti-spoofing",
    Table.ACL_FROM: "access control list from the VM",
    Table.FORWARD: "destination",
    Table.ACL_TO: "access control list to the VM",
    Table.OUTPUT: "egress port",
    Table.FLOOD: "copies to the broadcast tree",
    Table.FLOOD_VID: "members of the VLAN here",
    Table.FLOOD_PAGE: "copies to VSIs",
    Table.GROUPS: "IP multicast group",
    Table.GROUP_PAGE: "members of the group",
    Table.GROUP_GATE: "gate of copies of IP multicast",
    Table.RECEIVERS: "receivers of every group",
    Table.FIREWALL_FROM: "firewall, connections from the VM",
    Table.FIREWALL_TO: "firewall, connections to the VM",
    Table.NEW_FROM: "firewall, new connection from the VM",
    Table.NEW_TO: "firewall, new connection to the VM",
    Table.LEARN_FROM: "firewall, learns the connection",
    Table.LEARN_TO: "firewall, learns the connection",
    Table.LIMIT_FROM: "firewall, limit of connections",
    Table.LIMIT_TO: "firewall, limit of connections",
    Table.CONNECTIONS: "connections that the switch has learnt",
    Table.REPORTS: "group membership reports",
    Table.PROXY_FROM: "connections of a proxy",
    Table.PROXY_TO: "ports redirected to a proxy",
    Table.FRAGMENT_FROM: "fragments from the VM",
    Table.FRAGMENT_TO: "fragments to the VM",
    Table.FRAGMENTS: "datagrams whose first fragment has passed",
    Table.COUNT_FROM: "counts frames from the VM",
    Table.COUNT_TO: "delivers and counts frames to the VM",
    Table.COUNTED_FROM: "counts frames from the VM",
    Table.COUNTED_TO: "counts frames to the VM",
    Table.REFUSED_FROM: "counts refused frames from the VM",
    Table.REFUSED_TO: "counts refused frames to the VM",
    Table.METER_TO: "rate limit to the VM",
    Table.METERED_TO: "rate limit to the VM",
    Table.BALANCE: "load balancer, frames to its address",
    Table.BALANCE_TO: "load balancer, answers",
    Table.BALANCER_PINS: "back ends of connections",
    Table.BALANCE_DECIDE: "load balancer, back end of the connection",
    Table.BALANCE_PICK: "load balancer, picks a back end",
    Table.BALANCE_NOTE: "load balancer, learns the back end",
    Table.BALANCE_ROOM: "load balancer, limit of connections",
    Table.STEER: "traffic that goes through an appliance",
    Table.STEER_SHARE: "appliance, shares of the traffic",
    Table.STEER_PLACE: "appliance, instance of the share",
    Table.STEER_FAILED: "appliance without an instance",
    Table.STEER_BACK: "frames of an appliance",
    Table.MEMBERS: "members of a set of addresses",
    Table.MIRRORS: "copy to a mirror",
    Table.WAYS: "way to another switch, by VLAN",
    Table.COPIES: "limit of copies to the destination of a move",
    Table.GATE_COPIES: "gate of copies to a VM that moves",
    Table.TRANSLATE_OUT: "relay VID to local VID",
    Table.STRIPPED: "second tag",
    Table.SECOND_TAG: "second tag",
    Table.BOND: "links of a bond",
    Table.BOND_LINK: "links in use of a bond",
    Table.BOND_OUTPUT: "link of a bond",
}
#: Reasons for which no rule of a table matches.
_MISSES = {
    Table.ADMIT: "the port is not configured, or frames may not come in there like this",
    Table.INGRESS: "no associated VSI, end system or trunk has this port, VID and source address",
    Table.FORWARD: "no known system has this VID and destination address",
    Table.FLOOD: "the frame came in by a link outside the broadcast tree",
}
#: Table -> reason for which its rules drop a frame.
_REFUSALS = {
    Table.ADMIT: "such frames are never forwarded",
    Table.GUARD: "VMs may not send such frames",
    Table.CLAIM: "the address belongs to another end system",
    Table.ANTISPOOF: "the frame has an address that is not the VM's own",
    Table.LIMIT_FROM: "the limit of connections is reached",
    Table.LIMIT_TO: "the limit of connections is reached",
    Table.STEER_FAILED: "no instance of the appliance is in use, and its type blocks the traffic then",
    Table.STEER_BACK: "an appliance sends no broadcasts to its clients",
    Table.FRAGMENT_FROM: "the first fragment has not passed",
    Table.FRAGMENT_TO: "the first fragment has not passed",
}
_SHUT = "the gate is shut"
_PROTOCOLS = {
    1: "ICMP",
    2: "IGMP",
    6: "TCP",
    17: "UDP",
    44: "protocol behind a fragment header",
    47: "GRE",
    58: "ICMPv6",
    132: "SCTP",
}
_ETH_TYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x8035: "RARP", 0x86DD: "IPv6", 0x88CC: "LLDP", 0x8940: "ECP"}
_LATER = 3
_FRAGMENTS = {1: ", first fragment", _LATER: ", later fragment"}


def table_name(number: int) -> str:
    """Name of a table, or its number."""
    return Table(number).name if number in set(Table) else str(number)


def mac_words(value: int) -> str:
    """A MAC address."""
    return value.to_bytes(6).hex(":")


def frame_words(fields: Mapping[str, int]) -> str:
    """A frame in one line: addresses, VID, and what is inside."""
    addresses = f"{mac_words(fields['eth_src'])} > {mac_words(fields['eth_dst'])}"
    return ", ".join([addresses, _tag_words(fields), _inside(fields)])


def _tag_words(fields: Mapping[str, int]) -> str:
    vid = fields.get("vlan_vid", 0)
    if not vid & VLAN_PRESENT:
        return "untagged"
    pcp = fields.get("vlan_pcp", 0)
    return f"VID {vid & ~VLAN_PRESENT}" + (f" PCP {pcp}" if pcp else "")


def _inside(fields: Mapping[str, int]) -> str:
    eth_type = fields["eth_type"]
    name = _ETH_TYPES.get(eth_type, f"type {eth_type:#06x}")
    if eth_type in (0x0806, 0x8035) and "arp_op" in fields:
        kind = {1: "request", 2: "reply"}.get(fields["arp_op"], f"operation {fields['arp_op']}")
        return f"{name} {kind}, {IPv4Address(fields['arp_spa'])} > {IPv4Address(fields['arp_tpa'])}"
    if eth_type == 0x0800 and "ipv4_src" in fields:
        ends = f"{IPv4Address(fields['ipv4_src'])} > {IPv4Address(fields['ipv4_dst'])}"
    elif eth_type == 0x86DD and "ipv6_src" in fields:
        ends = f"{IPv6Address(fields['ipv6_src'])} > {IPv6Address(fields['ipv6_dst'])}"
    else:
        return name
    return f"{name} {ends}, {_transport(fields)}{_FRAGMENTS.get(fields.get('ip_frag', 0), '')}"


def _transport(fields: Mapping[str, int]) -> str:
    proto = fields.get("ip_proto", 0)
    name = _PROTOCOLS.get(proto, f"protocol {proto}")
    if fields.get("ip_frag", 0) == _LATER:
        return name
    for prefix in ("tcp", "udp"):
        if f"{prefix}_src" in fields:
            return f"{name} {fields[f'{prefix}_src']} > {fields[f'{prefix}_dst']}"
    for prefix in ("icmpv4", "icmpv6"):
        if f"{prefix}_type" in fields:
            return f"{name} type {fields[f'{prefix}_type']}"
    return name


def step_words(step: Step, owners: Owners) -> str:
    """One step."""
    match step:
        case LookedUp(level=0, rule=None):
            return f"no rule matches: {miss_words(step)}; the frame ends here"
        case LookedUp(rule=None):
            return "no rule matches"
        case LookedUp(rule=rule) if rule is not None:
            source = source_of(rule, owners)
            return source.words + (f"{_refusal(step, source)}; the frame ends here" if drops(rule) else "")
        case MeterPassed(exceeded=True):
            return f"meter {step.meter_id:#x}: {_SHUT}; the frame ends here"
        case MeterPassed():
            return f"meter {step.meter_id:#x} limits or counts"
        case Grouped():
            return f"group {step.group_id:#x}, {step.buckets} of {step.present} buckets"
        case Learned():
            said = "learns a rule" if step.allowed else "is at its limit and learns no rule"
            return f"{said} in {table_name(step.action.table)}"
        case Sent():
            return f"output to port {step.port:#x}" if step.port > 0xFFFFFF00 else f"output to port {step.port}"
    raise AssertionError(step)


def miss_words(step: LookedUp) -> str:
    """The reason for which no rule of a table matches."""
    known = _MISSES.get(Table(step.table)) if step.table in set(Table) else None
    return known or "nothing here applies to the frame"


def reason_words(step: LookedUp, owners: Owners, shut: bool) -> str:
    """The reason for which a frame ended at a lookup; ``shut``: at the meter of a gate."""
    if step.rule is None:
        return f"no rule of {table_name(step.table)} matches: {miss_words(step)}"
    if shut:
        return f"{table_name(step.table)}, {source_of(step.rule, owners).words}: {_SHUT}"
    source = source_of(step.rule, owners)
    return f"{table_name(step.table)}, {source.words}{_refusal(step, source)}"


def _refusal(step: LookedUp, source: Source) -> str:
    """The reason for which a rule drops a frame, behind a colon; empty: its words say it."""
    if step.table == Table.ACL_TO and source.kind == "vsi_body":
        return ": the VM has sent it itself"
    if step.table == Table.FORWARD and step.rule is not None and set(match(eth_dst=ANY_GROUP)) <= set(step.rule.match):
        return ": a frame to all or to a group is not for one IP address where appliances are"
    known = _REFUSALS.get(Table(step.table)) if step.table in set(Table) else None
    return "" if known is None else f": {known}"


def departure_words(departure: Departure, visit: Visit, owners: Owners) -> str:
    """One copy that has reached a port."""
    if departure.end is End.CONTROLLER:
        return "to the controller"
    view = departure.view
    named = f" ({view.name}, {view.role})" if view is not None else " (not configured)"
    port = f"port {departure.port.number} of {visit.switch.name}{named}"
    receiver = receiver_of(departure, owners)
    to_whom = f" to {vsi_words(receiver, owners)}" if receiver else ""
    match departure.end:
        case End.WAY_BACK:
            return f"not sent to {port}: it came in there"
        case End.DOWN:
            return f"lost at {port}: the port is down"
        case End.LINK:
            return f"out of {port}"
    return f"out of {port}{to_whom}, {_tag_words(departure.fields)}"


def receiver_of(departure: Departure, owners: Owners) -> str | None:
    """Text of the VSI to which a copy goes; None: it goes to no VSI."""
    metadata = departure.fields.get("metadata", 0)
    if departure.end is not End.PORT or metadata >> DIRECTION_SHIFT & 3 != Direction.TO_VM:
        return None
    return vsi_of(metadata >> VSI_SHIFT & ((1 << VSI_BITS) - 1), owners)
