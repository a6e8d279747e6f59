"""The cluster as its operator describes it: switches, the role of each port, and the links.

Plain data, standard library only, so that ``mn --custom`` can load a topology file under any Python.
A fabric is the configured state; ports that are down and failed links reach the engine as events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.topology.appliance import Appliance
from ryu_apps.evb.topology.balancer import LoadBalancer
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.topology.vsi_ports import UNNAMED, VsiPortPattern
from ryu_apps.evb.topology.vswitches import Vswitch, vsi_ports_at


class PortId(NamedTuple):
    """A port of a switch: datapath id (64 bits) and OpenFlow port number."""

    dpid: int
    port_no: int

    def __str__(self) -> str:
        return f"{self.dpid:016x}:{self.port_no}"


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


class Profile(Enum):
    """OpenFlow that a switch has."""

    OPEN_VSWITCH = "openvswitch"
    """OpenFlow 1.3 with the extensions of Open vSwitch."""
    OPENFLOW13 = "openflow13"
    """OpenFlow 1.3 alone."""


class GateMode(Enum):
    """Means by which the gate of a staged VSI opens."""

    RULES = "rules"
    """By rules alone."""
    METER = "meter"
    """By a meter as well, which acts on cached flows at once."""
    AUTO = "auto"
    """By a meter as well if the switch has proven its meters when it connected."""


class Converge(Enum):
    """The way in which switches that are neither end of a move follow it."""

    SWITCH = "switch"
    """Each leads frames to the VM's new place from its own change on, and the Associate waits for all of them."""
    COPY = "copy"
    """They send copies to both ends while the VM moves, and the Associate waits for the ends alone."""


class ReflectiveRelay(Enum):
    """Reflective relay at a station port (802.1Q 8.6.1): frames may leave by the port that they came in by."""

    AGREED = "agreed"
    """On if the station requests it (RRREQ in its EVB TLV): VEPA, else VEB."""
    ALWAYS = "always"
    """On, whatever the station requests: VEPA."""
    NEVER = "never"
    """Off, and the bridge reports that it cannot do it (RRCAP): VEB."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Timers that a bridge port proposes in its EVB TLV (802.1Q D.2.12); exponents of 10 us * 2^n.

    Attributes:
        r: ECP retries, 0..7.
        rte: ECP acknowledge timer exponent, 0..31.
        rwd: resource wait delay exponent, 0..31; with the default a station waits 31.6 s for an answer.
        rka: reinit keep alive exponent, 0..31.
    """

    r: int = 3
    rte: int = 10
    rwd: int = 21
    rka: int = 20


@dataclass(frozen=True, slots=True)
class TimerLimits:
    """Upper limits of the timers that a station may propose; exponents of 10 us * 2^n, 0..31.

    Attributes:
        rte: as in :class:`Timers`; 10.5 s.
        rwd: 84 s.
        rka: 336 s.
    """

    rte: int = 20
    rwd: int = 23
    rka: int = 25


class Takeover(Enum):
    """Condition of a takeover of a VSI that is alive at another port."""

    ANNOUNCED = "announced"
    """A Pre-Associate since its present owner became its owner, or the M bit."""
    RESERVED = "reserved"
    """A Pre-Associate since then that was granted with a reservation."""
    ANY = "any"


class StationKind(Enum):
    """Kind of the EVB station at a port; a preset of the treatment of its requests."""

    EVB = "evb"
    """A station as 802.1Q describes it."""
    LIBVIRT = "libvirt"
    """libvirt over lldpad, which ignores a refused Associate, and repeats null VIDs that were filled in."""
    AUTO = "auto"
    """Requests of the form of libvirt's are treated as those of libvirt, all others as those of a station."""


#: ``StationTreatment.notify_displaced`` of a station that is never notified.
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class StationTreatment:
    """Treatment of the requests of a station.

    Attributes:
        keep_null_vids: answer null VIDs as they are; else answer the VIDs for which they stand.
        notify_displaced: seconds from the move of a VSI to the De-Associate for the station that it has left;
            ``NEVER``: only the station ends its association.
        stage_on_preassociate: stage at a plain Pre-Associate too.
        ignores_refusals: after a Pre-Associate, the hypervisor runs the VM whatever its Associate is answered.
    """

    keep_null_vids: bool = False
    notify_displaced: float = 0.0
    stage_on_preassociate: bool = False
    ignores_refusals: bool = False


#: libvirt's own De-Associate follows about 2 s after a move; an earlier one of the bridge makes it associate again.
OF_LIBVIRT = StationTreatment(True, 30.0, True, True)


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


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch.

    Attributes:
        dpid: 64-bit datapath id.
        name: operator's name.
        interfaces: by OpenFlow port number.
        max_rules: rule budget; None: the limit in the switch's table features.
        translation: the VIDs at its station ports.
        profile: rules and messages that it is sent.
        metered: it has meters.
        gate: what opens its gates.
        vsi_ports: names and VLANs of its VSI ports.
    """

    dpid: int
    name: str
    interfaces: dict[int, Interface] = field(default_factory=dict)
    max_rules: int | None = None
    translation: VidTranslation = VidTranslation()
    profile: Profile = Profile.OPEN_VSWITCH
    metered: bool = True
    vsi_ports: tuple[VsiPortPattern, ...] = ()
    gate: GateMode = GateMode.RULES

    @property
    def extended(self) -> bool:
        """True if it has the extensions of Open vSwitch."""
        return self.profile is Profile.OPEN_VSWITCH

    def vsi_port(self, name: str, port_no: int = 0) -> Interface | None:
        """The VSI port of a name, by the first pattern that covers it; None: it is no VSI port.

        Args:
            port_no: its present number; 0: the port is not there.
        """
        found = next((pattern for pattern in self.vsi_ports if pattern.covers(name)), None)
        if found is None:
            return None
        return self._vsi_port(port_no, name, found)

    def unnamed_vsi_port(self) -> Interface:
        """A VSI port whose name is not known yet: it may have the VLANs of any.

        Its native VLANs are those of all patterns; none if they differ.
        """
        ports = [self._vsi_port(0, UNNAMED, pattern) for pattern in self.vsi_ports]
        alike = len({(port.native_vlan, port.native_vlans) for port in ports}) == 1
        native, natives = (ports[0].native_vlan, ports[0].native_vlans) if alike else (None, ())
        vids = dict.fromkeys(vid for port in ports for vid in port.vids)
        any_vid = not all(port.vids for port in ports)
        tagged = () if any_vid else tuple(vid for vid in vids if vid not in (native, *natives))
        return Interface(0, UNNAMED, Role.VSI, native, tagged, native_vlans=natives, metered=self.metered)

    def _vsi_port(self, port_no: int, name: str, pattern: VsiPortPattern) -> Interface:
        vlans = pattern.native_vlan, pattern.tagged_vlans
        return Interface(port_no, name, Role.VSI, *vlans, native_vlans=pattern.native_vlans, metered=self.metered)

    def untagged(self, vid: int) -> frozenset[int]:
        """The ports at which a VID is untagged."""
        return frozenset(port_no for port_no, interface in self.interfaces.items() if interface.native_vlan == vid)

    def with_profile(self, profile: Profile, metered: bool = True) -> Switch:
        """The same switch with another profile."""
        extended = profile is Profile.OPEN_VSWITCH
        ports = {
            number: replace(
                interface,
                reflective_relay=interface.reflective_relay if extended else ReflectiveRelay.NEVER,
                extended=extended,
                metered=metered,
            )
            for number, interface in self.interfaces.items()
        }
        return replace(self, interfaces=ports, profile=profile, metered=metered)


@dataclass(frozen=True, slots=True)
class Fabric:
    """All switches, by datapath id, and the load balancers distributed over them.

    Attributes:
        groups: GroupID (32 bits) -> relay VID; no two groups have the same.
        converge: how the switches that are neither end of a move follow it.
        vswitches: their members have the VSI ports that these give them, and no others.
        appliances: VMs through which traffic of others is led.
    """

    switches: dict[int, Switch] = field(default_factory=dict)
    balancers: tuple[LoadBalancer, ...] = ()
    groups: dict[int, int] = field(default_factory=dict)
    converge: Converge = Converge.SWITCH
    vswitches: tuple[Vswitch, ...] = ()
    appliances: tuple[Appliance, ...] = ()

    def with_vswitches(self, vswitches: Iterable[Vswitch]) -> Fabric:
        """The same fabric with these vSwitches, whose members have no VSI ports but theirs."""
        found = tuple(vswitches)
        members = {dpid for vswitch in found for dpid in vswitch.members}
        switches = {
            dpid: replace(switch, vsi_ports=vsi_ports_at(dpid, found, switch.translation))
            if dpid in members
            else switch
            for dpid, switch in self.switches.items()
        }
        return replace(self, switches=switches, vswitches=found)

    def interface(self, port: PortId) -> Interface | None:
        """The configuration of a port, None if it has none."""
        switch = self.switches.get(port.dpid)
        return switch.interfaces.get(port.port_no) if switch else None

    def bonds(self) -> Iterator[tuple[PortId, Interface]]:
        """The ports that stand for several links."""
        for dpid, switch in self.switches.items():
            for interface in switch.interfaces.values():
                if interface.bond:
                    yield PortId(dpid, interface.port_no), interface

    def vid_at(self, port: PortId, vid: int) -> int | None:
        """The VID that frames of a relay VID have at a port; None: none."""
        switch = self.switches[port.dpid]
        return switch.translation.local(vid) if switch.interfaces[port.port_no].has_local_vids else vid

    def local_stations(self) -> list[PortId]:
        """The ports of stations at the switches of their own servers."""
        return [port for port in self.ports(Role.STATION) if self.switches[port.dpid].interfaces[port.port_no].is_local]

    def has_groups(self, port: PortId) -> bool:
        """True if the VLAN of at least one group is admitted at a station port."""
        switch, vids = self.switches[port.dpid], self.switches[port.dpid].interfaces[port.port_no].vids
        return any(not vids or switch.translation.local(vid) in vids for vid in self.groups.values())

    @property
    def mirrors(self) -> dict[str, PortId]:
        """The ports that receive copies, by name."""
        return {self.switches[port.dpid].interfaces[port.port_no].name: port for port in self.ports(Role.MIRROR)}

    @property
    def remote_vlans(self) -> frozenset[int]:
        """The VIDs that copies have on trunks, and nothing else."""
        interfaces = (interface for switch in self.switches.values() for interface in switch.interfaces.values())
        return frozenset(interface.remote_vlan for interface in interfaces if interface.remote_vlan is not None)

    def reachable(self, dpid: int) -> frozenset[int]:
        """The switches to which trunks lead from a switch, itself included."""
        found, left = {dpid}, [dpid]
        while left:
            interfaces = self.switches[left.pop()].interfaces.values()
            new = {interface.peer.dpid for interface in interfaces if interface.peer is not None} - found
            found |= new
            left += new
        return frozenset(found)

    def balancer(self, name: str) -> LoadBalancer | None:
        """The load balancer of that name, None if there is none."""
        return next((balancer for balancer in self.balancers if balancer.name == name), None)

    def appliance(self, name: str, vid: int) -> Appliance | None:
        """The appliance of that name for the clients of a VLAN, None if there is none."""
        return next((found for found in self.appliances if found.name == name and found.vid == vid), None)

    def router_of(self, vid: int, mac: int | None) -> str | None:
        """The appliance of which an address in a VLAN is that of a router, None if there is none."""
        there = (found for found in self.appliances if mac and found.vid == vid)
        return next((found.name for found in there if any(each.mac == mac for each in found.instances)), None)

    def ports(self, role: Role) -> list[PortId]:
        """All ports of a role, in a stable order."""
        return [
            PortId(dpid, port_no)
            for dpid, switch in sorted(self.switches.items())
            for port_no, interface in sorted(switch.interfaces.items())
            if interface.role is role
        ]
