"""Admission of a VSI at a port: checks of its filter, addresses and type, without side effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from ryu_apps.evb.flow.match import GROUP_BIT
from ryu_apps.evb.model import Binding
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.vsi.places import Place, Placed
from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.ip import IpAddress
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vdp import VdpError

_BROADCAST = IPv4Address("255.255.255.255")
#: Addresses that are not looked at again.
_ADDRESSES = 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: the VDP error, the hard-error bit (repeating does not help), and the reason as text.

    Attributes:
        in_use: an address that has another owner, and that owner; None: not for an address in use.
    """

    error: VdpError
    hard: bool
    reason: str
    in_use: tuple[str, str] | None = None


UNKNOWN_TYPE = Refusal(VdpError.OTHER_FAILURE, True, "unknown VSI type or version")


@dataclass(frozen=True, slots=True)
class Admitted:
    """An admitted request.

    Attributes:
        vsi_type: its policy.
        placed: its VLANs and priorities.
        vsi_port: name of the VSI port behind which the VM is; empty: it is behind the port of its station.
    """

    vsi_type: VsiType
    placed: Placed
    vsi_port: str = ""


def examine(
    place: Place,
    vsi_type: VsiType | None,
    filter_info: FilterInfo,
    taken: Callable[[Binding], str | None],
    missing_requirement: Callable[[VsiType, tuple[int, ...]], str | None] = lambda vsi_type, vids: None,
    addresses: tuple[IpAddress, ...] = (),
    addressed: Callable[[int, IpAddress], str | None] = lambda vid, address: None,
    fill: Callable[[VsiType, FilterInfo], Placed | str] | None = None,
) -> Admitted | Refusal:
    """Check a request.

    Args:
        place: the port it came from.
        vsi_type: the policy of its type and version, None if there is none.
        filter_info: as received.
        taken: other owner of a binding, None if it is free.
        addresses: IP addresses of the VSI, from its station.
        addressed: other owner of an address in a VLAN, None if it is free.
        missing_requirement: requirement of a type in some VLANs that the switch does not meet; None: it meets all.
        fill: :meth:`Place.fill` of the place, with results that are kept; None: without.
    """
    if vsi_type is None:
        return UNKNOWN_TYPE
    if not filter_info.entries:
        return Refusal(VdpError.INVALID_FORMAT, True, "empty filter")
    placed = place.fill(filter_info, vsi_type) if fill is None else fill(vsi_type, filter_info)
    if isinstance(placed, str):
        return Refusal(VdpError.INVALID_VID_GROUP_MAC, False, placed)
    for binding in placed.bindings:
        if reason := _unacceptable(place, binding):
            return Refusal(VdpError.INVALID_VID_GROUP_MAC, False, reason)
        if (holder := taken(binding)) is not None:
            return _in_use(VdpError.INVALID_VID_GROUP_MAC, _text(binding), holder)
    vids = tuple(dict.fromkeys(binding.vid for binding in placed.bindings))
    for address in addresses:
        if reason := _unusable(vsi_type, address):
            return Refusal(VdpError.OTHER_FAILURE, False, reason)
        for vid in vids:
            if (holder := addressed(vid, address)) is not None:
                return _in_use(VdpError.OTHER_FAILURE, f"{address} in VID {vid}", holder)
    if missing := missing_requirement(vsi_type, vids):
        return Refusal(VdpError.INSUFFICIENT_RESOURCES, False, missing)
    return Admitted(vsi_type, placed, place.vsi_port)


def _in_use(error: VdpError, address: str, holder: str) -> Refusal:
    return Refusal(error, False, f"{address} belongs to {holder}", (address, holder))


def _text(binding: Binding) -> str:
    return f"VID {binding.vid}" if binding.mac is None else f"{mac_to_text(binding.mac)} in VID {binding.vid}"


def _unacceptable(place: Place, binding: Binding) -> str | None:
    if binding.mac is None and not place.interface.extended:
        return f"VID {binding.vid} without a MAC address needs the extensions of Open vSwitch"
    if binding.mac is not None and (binding.mac & GROUP_BIT or binding.mac == 0):
        return f"{mac_to_text(binding.mac)} is not the address of a station"
    return None


@lru_cache(_ADDRESSES)
def _is_of_a_host(address: IpAddress) -> bool:
    return not (address.is_multicast or address.is_unspecified or address.is_loopback or address == _BROADCAST)


def _unusable(vsi_type: VsiType, address: IpAddress) -> str | None:
    if not _is_of_a_host(address):
        return f"{address} is not the address of a VM"
    # Every VM has link-local addresses, and what a type lists does not take them away.
    local = address.version == 6 and address.is_link_local
    if vsi_type.addresses and not local and not any(address in network for network in vsi_type.addresses):
        return f"{address} is none of the addresses of VSI type {vsi_type.key}"
    return None
