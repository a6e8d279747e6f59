"""Words of CIM for filters: classes, enumerations, and the properties that stand for match fields."""

from __future__ import annotations

from enum import IntEnum

from ryu_apps.evb.policy.fields import Alternatives, Masked, full_mask
from ryu_apps.ovf.names import FILTER_ENTRY, FILTER_LIST, HDR_8021, IP_HEADERS

LIST = (FILTER_LIST, "CIM_FilterList")
ENTRY = (FILTER_ENTRY, "CIM_FilterEntry")
IP = (IP_HEADERS, "CIM_IPHeadersFilter")
ETHERNET = (HDR_8021, "CIM_Hdr8021Filter")

#: ``OtherMatchConditionType`` of our own match fields.
OTHER_PREFIX = "evbridge:"

IPV4, IPV6 = 0x0800, 0x86DD
ANY_IP = (Masked(IPV4, 0xFFFF), Masked(IPV6, 0xFFFF))
VERSIONS = {4: IPV4, 6: IPV6}
PORTS = {6: "tcp", 17: "udp"}
PERMIT, DENY = 1, 2
ANY_TRAFFIC = 4
SIDES = {"src": "Src", "dst": "Dest"}
NUMBERS_8021 = {"eth_type": "HdrProtocolID8021", "vlan_pcp": "HdrPriorityValue8021", "vlan_vid": "HdrVLANID8021"}


class CimDirection(IntEnum):
    """``CIM_FilterList.Direction``, seen from the adapter."""

    INPUT = 1
    OUTPUT = 2
    BOTH = 3
    MIRRORED = 4
    """Conditions are those of what goes out; for what comes in, source and destination change places."""


class Condition(IntEnum):
    """``CIM_FilterEntry.MatchConditionType``, those that we know."""

    OTHER = 1
    SOURCE_ADDRESS = 2
    DESTINATION_ADDRESS = 3
    SOURCE_PORT = 4
    SOURCE_PORTS = 5
    DESTINATION_PORT = 6
    DESTINATION_PORTS = 7
    PROTOCOL = 8
    DSCP = 10
    PRIORITY = 12
    ANY = 13


def exactly(name: str, *values: int) -> Alternatives:
    """Return the alternatives that are these values, whole."""
    return tuple(Masked(number, full_mask(name)) for number in values)
