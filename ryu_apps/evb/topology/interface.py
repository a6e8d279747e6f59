"""Ports of switches: the system at the other end of each, its VLANs and links.

Plain data, standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.topology.evb_settings import ReflectiveRelay, TimerLimits, Timers
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.station_treatment import OF_LIBVIRT, StationKind, StationTreatment, Takeover


class Role(Enum):
    """Role of a port, by the system at its other end."""

    STATION = "station"
    """An EVB station (hypervisor); only frames of associated VSIs are forwarded."""
    HOST = "host"
    """A configured end system without EVB (NMS, client, router); always forwarded."""
    TRUNK = "trunk"
    """Another switch of the fabric."""
    MIRROR = "mirror"
    """An analyser, which receives copies of frames; what it sends is dropped."""
    VSI = "vsi"
    """One VM, at the switch of its own server; only frames of the VSI associated there are forwarded."""


#: The most links of a bond.
MAX_LINKS = 4


class BondMode(Enum):
    """Choice of the link for a frame to a station with several links."""

    ACTIVE_BACKUP = "active_backup"
    """The link by which frames of the station come; all links, while that is not certain."""
    LACP = "lacp"
    """Any link on which the switch has an agreement by LACP (IEEE 802.1AX), by a hash of the frame's addresses."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One port of a switch, or several ports to one station (a bond).

    Attributes:
        port_no: OpenFlow port number; of a bond, the number that stands for all of its links.
        name: operator's name of the system at the other end (``hv1``, ``nms``, ``s2``).
        role: see :class:`Role`.
        native_vlan: VID of untagged frames in both directions, None if untagged frames are refused.
        tagged_vlans: VIDs that may appear tagged; empty on a station port: every VID but the native one.
            Both are local VIDs of the switch on a station port, and relay VIDs on others.
        macs: MAC addresses (as 48-bit integers) of the configured end systems on a HOST port.
        addresses: configured IP addresses of the end systems on a HOST port; may be incomplete.
        speed: kbit/s in each direction; None: as the switch shows it.
        peer: the port at the other end of a TRUNK.
        timers: EVB proposal of a STATION port.
        timer_limits: upper limits of the timers that the station of a STATION port may propose.
        station: kind of the station of a STATION port.
        keep_null_vids, notify_displaced, stage_on_preassociate: as in :class:`StationTreatment`; None: by its kind.
        takeover: condition of a takeover of a VSI from another port.
        limits: what the station may request.
        reflective_relay: setting of a STATION port; never without the extensions of Open vSwitch.
        appliance: name of the service for which the end system of a HOST port is an appliance, or None.
        bond: port numbers of all links of a bond, ``port_no`` among them; empty: a single port.
        bond_mode: counts only for a bond.
        extended: its switch has the extensions of Open vSwitch.
        metered: its switch has meters; without them it does not limit the rate of frames to the controller.
        remote_vlan: VID outside the tag of copies from other switches to a MIRROR port; None: it gets none.
        native_vlans: of a VSI port: several VIDs, of which that of its VSI is the native one; ``native_vlan`` is the
            first, that of a null VID.  Empty: there is no choice.
        port_names: of the station of a server whose switch this is: rule for the names of the VSI ports at which its
            VSIs are (``vsi_ports.name_of_port``); None: its VSIs are behind the port itself.
        uplink: of a HOST port: other pods are behind it, and frames for unknown addresses leave there.
    """

    port_no: int
    name: str
    role: Role
    native_vlan: int | None = None
    tagged_vlans: tuple[int, ...] = ()
    macs: tuple[int, ...] = ()
    peer: PortId | None = None
    timers: Timers = Timers()
    timer_limits: TimerLimits = TimerLimits()
    station: StationKind = StationKind.EVB
    keep_null_vids: bool | None = None
    notify_displaced: float | None = None
    stage_on_preassociate: bool | None = None
    takeover: Takeover = Takeover.ANNOUNCED
    appliance: str | None = None
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    speed: int | None = None
    reflective_relay: ReflectiveRelay = ReflectiveRelay.AGREED
    extended: bool = True
    metered: bool = True
    bond: tuple[int, ...] = ()
    bond_mode: BondMode = BondMode.ACTIVE_BACKUP
    remote_vlan: int | None = None
    native_vlans: tuple[int, ...] = ()
    port_names: str | None = None
    limits: StationLimits = StationLimits()
    uplink: bool = False

    @property
    def is_local(self) -> bool:
        """True for the port of a server's station at the server's own switch."""
        return self.port_names is not None

    @property
    def role_text(self) -> str:
        """Its role as in the configuration."""
        return "local_station" if self.is_local else "pod" if self.uplink else self.role.value

    @property
    def has_local_vids(self) -> bool:
        """True for a port whose frames have the local VIDs of its switch."""
        return self.role in (Role.STATION, Role.VSI)

    @property
    def links(self) -> tuple[int, ...]:
        """Port numbers of all links, the one that stands for them first."""
        return (self.port_no, *(member for member in self.bond if member != self.port_no))

    def is_up(self, ports: Mapping[int, bool]) -> bool | None:
        """True if a link is up, by the link states of some ports; None: no state is known."""
        if not self.bond:
            return ports.get(self.port_no)
        known = [ports[port_no] for port_no in self.links if port_no in ports]
        return any(known) if known else None

    @property
    def vids(self) -> tuple[int, ...]:
        """The VIDs configured at the port, the native one first."""
        native = self.native_vlans or (() if self.native_vlan is None else (self.native_vlan,))
        return (*native, *(vid for vid in self.tagged_vlans if vid not in native))

    def natives_of(self, vids: Iterable[int]) -> tuple[int, ...]:
        """Those of some VIDs of a VSI that are untagged at the port if it has a choice; more than one cannot be."""
        return tuple(dict.fromkeys(vid for vid in vids if vid in self.native_vlans))

    def with_native_of(self, vids: Iterable[int]) -> Interface:
        """The port as it is for a VSI with some VIDs: its native VLAN is that of the VSI, if there is a choice."""
        native = next(iter(self.natives_of(vids)), self.native_vlan)
        return self if native == self.native_vlan else replace(self, native_vlan=native)

    def treatment(self, like_libvirt: bool) -> StationTreatment:
        """Return the treatment of a request; ``like_libvirt``: it has the form of libvirt's."""
        is_libvirt = self.station is StationKind.LIBVIRT or (self.station is StationKind.AUTO and like_libvirt)
        usual = OF_LIBVIRT if is_libvirt else StationTreatment()
        return StationTreatment(
            usual.keep_null_vids if self.keep_null_vids is None else self.keep_null_vids,
            usual.notify_displaced if self.notify_displaced is None else self.notify_displaced,
            usual.stage_on_preassociate if self.stage_on_preassociate is None else self.stage_on_preassociate,
            usual.ignores_refusals,
        )
