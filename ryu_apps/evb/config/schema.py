"""Keys of evbridge.yaml as pydantic models; ``consistency`` checks one part against another."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, WithJsonSchema

from ryu_apps.evb.config.group_ids import group_range
from ryu_apps.evb.flow.match import GROUP_BIT
from ryu_apps.evb.model import Retention
from ryu_apps.evb.policy.address_set import is_reference
from ryu_apps.evb.policy.fields import full_mask, parse_field
from ryu_apps.evb.policy.offer import LIFETIME, MAX_SIZE, TIMEOUT
from ryu_apps.evb.policy.validate import NotifyDisplaced, NullVidText, Strict, Timeout
from ryu_apps.evb.topology.fabric import MAX_LINKS
from ryu_apps.evb.topology.station_limits import limit_pattern
from ryu_apps.evb.topology.vsi_ports import USUAL_NAMES, is_pattern, odd_template
from ryu_apps.evb.topology.vswitches import USUAL_PORTS
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.evb.wire.manager_text import manager_from_text

StageOnText = Literal["preassociate", "preassociate_rr"]
TakeoverText = Literal["announced", "reserved", "any"]
StationText = Literal["evb", "libvirt", "auto"]
RelayText = Literal["agreed", "always", "never"]
ReaderText = Literal["evbridge", "ryu"]
ProfileText = Literal["openvswitch", "openflow13"]
GateText = Literal["rules", "meter", "auto"]
ConvergeText = Literal["switch", "copy"]
BondModeText = Literal["active_backup", "lacp"]
#: Port numbers have 16 bits in metadata; OpenFlow reserves the highest.
MAX_PORT = 0xFEFF
#: Default seconds between readings of all counters.
STATISTICS_INTERVAL = 1.0
#: Default seconds for which a VSI's former switch forwards frames in flight to it.
FORWARD_IN_FLIGHT = 2
#: Default seconds for an answer of another pod.
POD_TIMEOUT = 2.0
#: Default seconds without a renewal of its lease after which the leader of a cluster is replaced, the least, and most.
PATIENCE, MIN_PATIENCE, MAX_PATIENCE = 0.6, 0.3, 5.0


def _mac(written: object) -> int:
    if not isinstance(written, str):
        raise ValueError("a MAC address was expected, such as '02:00:00:00:0f:01'")
    mac = mac_from_text(written)
    if mac & GROUP_BIT or mac == 0:
        raise ValueError(f"{written} is not the address of an end system")
    return mac


MacText = Annotated[int, PlainValidator(_mac), WithJsonSchema({"type": "string"})]


def _ip(written: object) -> IPv4Address | IPv6Address:
    if is_reference(written):
        raise ValueError(f"the set {written} may stand in rules of VSI types only")
    if not isinstance(written, str):
        raise ValueError("an IP address was expected, such as '10.0.100.200'")
    address = ip_address(written)
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise ValueError(f"{written} is not the address of an end system")
    return address


def _transport_port(written: object) -> int:
    block, *more = parse_field("tcp_dst", written)
    if more or block.mask != full_mask("tcp_dst") or not block.value:
        raise ValueError("one port was expected")
    return block.value


IpAddressText = Annotated[IPv4Address | IPv6Address, PlainValidator(_ip), WithJsonSchema({"type": "string"})]
#: A port of TCP or UDP: a number or a name.
TransportPort = Annotated[int, PlainValidator(_transport_port), WithJsonSchema({"type": ["string", "integer"]})]
VlanId = Annotated[int, Field(ge=1, le=4094)]
PortNo = Annotated[int, Field(ge=1, le=MAX_PORT)]


def _interface_key(written: object) -> int | str:
    """A port number, or a pattern for names of VSI ports."""
    if isinstance(written, int) and not isinstance(written, bool):
        if not 1 <= written <= MAX_PORT:
            raise ValueError(f"a port number from 1 to {MAX_PORT} was expected")
        return written
    if not isinstance(written, str) or not is_pattern(written):
        raise ValueError("a port number, or a name of VSI ports such as tap*, was expected")
    return written


def _vsi_ports(written: object) -> str:
    if not isinstance(written, str) or not is_pattern(written):
        raise ValueError("a name of VSI ports such as tap* was expected")
    return written


def _port_names(written: object) -> str:
    if not isinstance(written, str):
        raise ValueError("a rule for names was expected, such as 'tap{vsi:11}'")
    if reason := odd_template(written):
        raise ValueError(reason)
    return written


InterfaceKey = Annotated[int | str, PlainValidator(_interface_key), WithJsonSchema({"type": ["integer", "string"]})]
VsiPortsText = Annotated[str, PlainValidator(_vsi_ports), WithJsonSchema({"type": "string"})]
PortNamesText = Annotated[str, PlainValidator(_port_names), WithJsonSchema({"type": "string"})]
_REMOTE = re.compile(r"(tcp|ssl):([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}|unix:/[^,]{1,100}")
#: kbit/s, as OpenFlow has the speed of a port.
Speed = Annotated[int, Field(ge=1, le=0xFFFFFFFF)]
#: A name that is a segment of a URL without escaping.
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ShortName = Annotated[str, Field(min_length=1, max_length=64)]
#: A name or address by which a client finds this machine, without a port.
MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]{1,253}$")]
#: Patterns of what a station may request.
Limit = Annotated[list[Annotated[str, AfterValidator(limit_pattern)]], Field(min_length=1, max_length=1000)]
FileName = Annotated[str, Field(min_length=1)]
Exponent = Annotated[int, Field(ge=0, le=31)]


def _group_ids(written: object) -> str | int:
    """The key as written, so that a diagnostic finds it in the file."""
    if isinstance(written, bool) or not isinstance(written, str | int):
        raise ValueError("a GroupID or a range was expected, such as 1000 or 5000-5999")
    group_range(written)
    return written


WrittenGroupIds = Annotated[str | int, PlainValidator(_group_ids), WithJsonSchema({"type": ["string", "integer"]})]
#: GroupIDs -> VID; of a range, that of its first group, and the others follow.
GroupsWritten = Annotated[dict[WrittenGroupIds, VlanId], Field(max_length=4094)]


class TimerValues(Strict):
    """Timers that a port proposes; absent ones are inherited."""

    r: Annotated[int, Field(ge=0, le=7)] | None = None
    rte: Exponent | None = None
    rwd: Exponent | None = None
    rka: Exponent | None = None


class TimerLimitValues(Strict):
    """Upper limits of a station's proposal; absent ones are inherited."""

    rte: Exponent | None = None
    rwd: Exponent | None = None
    rka: Exponent | None = None


class LinkSection(Strict):
    """The far end of a trunk."""

    dp: ShortName
    port: PortNo


class StationValues(Strict):
    """Attributes of the ports of all stations."""

    name: ShortName
    timers: TimerValues = TimerValues()
    timer_limits: TimerLimitValues = TimerLimitValues()
    station: StationText | None = None
    null_vid: NullVidText | None = None
    notify_displaced: NotifyDisplaced | None = None
    stage_on: StageOnText | None = None
    takeover: TakeoverText | None = None
    vsis: Limit = Field(default_factory=list)
    types: Limit = Field(default_factory=list)
    macs: Limit = Field(default_factory=list)


class StationSection(StationValues):
    """A port towards an EVB station (hypervisor)."""

    role: Literal["station"]
    native_vlan: VlanId | None = None
    tagged_vlans: list[VlanId] = Field(default_factory=list)
    reflective_relay: RelayText | None = None
    speed: Speed | None = None
    bond: Annotated[list[PortNo], Field(min_length=2, max_length=MAX_LINKS)] = Field(default_factory=list)
    bond_mode: BondModeText | None = None


class LocalStationSection(StationValues):
    """The port of a server's station at the server's own switch."""

    role: Literal["local_station"]
    port_names: PortNamesText = USUAL_NAMES


class VsiPortSection(Strict):
    """Ports of a server's switch that lead to one VM each."""

    role: Literal["vsi"]
    native_vlan: VlanId | None = None
    native_vlans: Annotated[list[VlanId], Field(max_length=4094)] = Field(default_factory=list)
    tagged_vlans: list[VlanId] = Field(default_factory=list)


class HostSection(Strict):
    """A port towards configured end systems."""

    name: ShortName
    role: Literal["host"]
    native_vlan: VlanId | None = None
    tagged_vlans: list[VlanId] = Field(default_factory=list)
    macs: Annotated[list[MacText], Field(min_length=1)]
    addresses: Annotated[list[IpAddressText], Field(max_length=1000)] = Field(default_factory=list)
    appliance: Literal["tcp_proxy"] | None = None


class PodPortSection(Strict):
    """A port towards other pods."""

    name: ShortName
    role: Literal["pod"]
    native_vlan: VlanId | None = None
    tagged_vlans: list[VlanId] = Field(default_factory=list)


class TrunkSection(Strict):
    """A port towards another switch."""

    name: ShortName
    role: Literal["trunk"]
    link: LinkSection
    speed: Speed | None = None


class MirrorPortSection(Strict):
    """A port towards an analyser, to which the frames of VSIs are copied."""

    name: ShortName
    role: Literal["mirror"]
    remote_vlan: VlanId | None = None


PortSection = (
    StationSection
    | LocalStationSection
    | VsiPortSection
    | HostSection
    | PodPortSection
    | TrunkSection
    | MirrorPortSection
)


class DatapathSection(Strict):
    """One switch."""

    dp_id: Annotated[int, Field(ge=1, le=(1 << 64) - 1)]
    max_rules: Annotated[int, Field(ge=1)] | None = None
    groups: GroupsWritten = Field(default_factory=dict)
    profile: ProfileText = "openvswitch"
    meters: bool = True
    gate: GateText = "rules"
    interfaces: dict[InterfaceKey, Annotated[PortSection, Field(discriminator="role")]]


class VswitchSection(Strict):
    """A virtual switch of one server, or of several."""

    members: Annotated[list[ShortName], Field(min_length=1, max_length=1000)]
    ports: VsiPortsText = USUAL_PORTS
    native_vlan: VlanId | None = None
    native_vlans: Annotated[list[VlanId], Field(max_length=4094)] = Field(default_factory=list)
    tagged_vlans: Annotated[list[VlanId], Field(max_length=4094)] = Field(default_factory=list)
    uplinks: Annotated[list[PortNo], Field(max_length=63)] = Field(default_factory=list)
    vsis: Limit = Field(default_factory=list)
    types: Limit = Field(default_factory=list)
    macs: Limit = Field(default_factory=list)
    max_vsis: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class QuerierValues(Strict):
    """The querier of a VLAN; absent values are inherited; seconds, see RFC 3376 8."""

    querier: bool | None = None
    robustness: Annotated[int, Field(ge=1, le=7)] | None = None
    query_interval: Annotated[int, Field(ge=1, le=31744)] | None = None
    query_response_interval: Annotated[int, Field(ge=1, le=3174)] | None = None


class BridgeMulticastSection(QuerierValues):
    """All queriers, and those of single VLANs."""

    last_member_query_interval: Annotated[int, Field(ge=1, le=25)] | None = None
    last_member_query_count: Annotated[int, Field(ge=1, le=7)] | None = None
    vlans: dict[VlanId, QuerierValues] = Field(default_factory=dict)


class BackendSection(Strict):
    """One back end of a load balancer."""

    mac: MacText
    addresses: Annotated[list[IpAddressText], Field(min_length=1, max_length=8)]
    port: TransportPort | None = None
    weight: Annotated[int, Field(ge=1, le=255)] = 1


class BalancerTimeouts(Strict):
    """Seconds without a frame until a connection of an end system expires; idle: 60 for UDP."""

    opening: Timeout = 10
    idle: Timeout | None = None
    closing: Timeout = 120


class LoadBalancerSection(Strict):
    """A virtual address and its back ends."""

    vlan: VlanId
    mac: MacText
    addresses: Annotated[list[IpAddressText], Field(min_length=1, max_length=8)]
    protocol: Literal["tcp", "udp"] = "tcp"
    port: TransportPort
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    timeouts: BalancerTimeouts = BalancerTimeouts()
    backends: Annotated[dict[PlainName, BackendSection], Field(min_length=1, max_length=64)]


def _url(written: object) -> str:
    if not isinstance(written, str):
        raise ValueError("a URL was expected, such as 'https://vsi.example.net/types/'")
    parts = urlsplit(written)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{written!r} is not a URL of http or https with a host")
    if not written.isascii() or not written.isprintable() or " " in written or (parts.port or 1) < 1:
        raise ValueError(f"{written!r} is not a URL")
    if parts.username is not None or "?" in written or "#" in written:
        raise ValueError("the URL of a VSI manager must not have a user, a query or a fragment")
    return written if written.endswith("/") else f"{written}/"


def _manager_id(written: object) -> str | int:
    """The ID as written, so that ``managers`` finds two notations of the same ID."""
    if isinstance(written, bool) or not isinstance(written, str | int):
        raise ValueError("a VSI Manager ID was expected: put it in quotation marks")
    manager_from_text(written)
    return written


def _served(written: object) -> str:
    if written not in ("local", "refuse"):
        raise ValueError("local, refuse or a mapping with a url was expected")
    return str(written)


Url = Annotated[str, PlainValidator(_url), WithJsonSchema({"type": "string"})]
WrittenManagerId = Annotated[str | int, PlainValidator(_manager_id), WithJsonSchema({"type": ["string", "integer"]})]
ServedHere = Annotated[str, PlainValidator(_served), WithJsonSchema({"type": "string"})]


class HttpManagerSection(Strict):
    """A VSI manager that is asked over HTTP."""

    url: Url
    timeout: Annotated[float, Field(ge=0.1, le=60)] = TIMEOUT
    lifetime: Annotated[float, Field(ge=0, le=2_592_000)] = LIFETIME
    max_size: Annotated[int, Field(ge=1, le=16_000_000)] = MAX_SIZE
    ca_file: FileName | None = None
    token_file: FileName | None = None


def _kind(written: Any) -> str:
    return "http" if isinstance(written, dict | HttpManagerSection) else "here"


class ManagersSection(Strict):
    """The VSI managers, and the treatment of managers that are not listed."""

    unlisted: Literal["local", "refuse"] = "local"
    managers: Annotated[
        dict[
            WrittenManagerId,
            Annotated[
                Annotated[HttpManagerSection, Tag("http")] | Annotated[ServedHere, Tag("here")], Discriminator(_kind)
            ],
        ],
        Field(max_length=1000),
    ] = Field(default_factory=dict)


class RetentionValues(Strict):
    """Limits on the totals of VSIs without any association: seconds, and number of VSIs."""

    secs: Annotated[int, Field(ge=0, le=31 * 86400)] = Retention().secs
    vsis: Annotated[int, Field(ge=0, le=100_000)] = Retention().vsis


class RestSection(Strict):
    """Access to REST."""

    names: Annotated[list[HostName], Field(max_length=100)] = Field(default_factory=list)
    tokens: FileName | None = None
    certificate: FileName | None = None
    private_key: FileName | None = None


def _remote(written: object) -> str:
    """A server of OVSDB; a comma would begin another one."""
    if not isinstance(written, str) or not _REMOTE.fullmatch(written):
        raise ValueError(
            "a server was expected, such as 'tcp:10.0.0.1:6641', 'ssl:[2001:db8::1]:6641' or 'unix:/run/evb.sock'"
        )
    if not written.startswith("unix:") and not 1 <= int(written.rpartition(":")[2]) <= 0xFFFF:
        raise ValueError(f"{written}: ports are 1 to 65535")
    return written


class StoreSection(Strict):
    """The servers of a store that several bridges share."""

    remotes: Annotated[
        list[Annotated[str, PlainValidator(_remote), WithJsonSchema({"type": "string"})]],
        Field(min_length=1, max_length=9),
    ]
    private_key: FileName | None = None
    certificate: FileName | None = None
    ca_file: FileName | None = None


class ClusterSection(Strict):
    """Membership of a cluster."""

    name: MemberName | None = None
    address: Url | None = None
    patience: Annotated[float, Field(ge=MIN_PATIENCE, le=MAX_PATIENCE)] = PATIENCE


class PeerSection(Strict):
    """Another pod: the REST resources of its bridges."""

    urls: Annotated[list[Url], Field(min_length=1, max_length=9)]
    timeout: Annotated[float, Field(ge=0.1, le=5)] = POD_TIMEOUT
    ca_file: FileName | None = None
    token_file: FileName | None = None


class PodSection(Strict):
    """This bridge, or this cluster of bridges, as one pod of several."""

    name: MemberName
    directory: Annotated[
        list[Annotated[str, PlainValidator(_remote), WithJsonSchema({"type": "string"})]],
        Field(min_length=1, max_length=9),
    ]
    private_key: FileName | None = None
    certificate: FileName | None = None
    ca_file: FileName | None = None
    on_unreachable: Literal["refuse", "take"] = "refuse"
    peers: Annotated[dict[MemberName, PeerSection], Field(max_length=1000)] = Field(default_factory=dict)


class ConfigFile(Strict):
    """The whole file."""

    version: Literal[1]
    policies: list[str] = Field(default_factory=list)
    state_dir: str | None = None
    store: StoreSection | None = None
    station: StationText = "evb"
    null_vid: NullVidText | None = None
    notify_displaced: NotifyDisplaced | None = None
    stage_on: StageOnText | None = None
    takeover: TakeoverText = "announced"
    reflective_relay: RelayText = "agreed"
    timers: TimerValues = TimerValues()
    timer_limits: TimerLimitValues = TimerLimitValues()
    multicast: BridgeMulticastSection = BridgeMulticastSection()
    statistics_interval: Annotated[float, Field(ge=0.1, le=3600)] = STATISTICS_INTERVAL
    statistics_retention: RetentionValues = RetentionValues()
    forward_in_flight: Annotated[int, Field(ge=0, le=60)] = FORWARD_IN_FLIGHT
    converge: ConvergeText = "switch"
    load_balancers: Annotated[dict[PlainName, LoadBalancerSection], Field(max_length=1000)] = Field(
        default_factory=dict
    )
    vsi_managers: ManagersSection = ManagersSection()
    groups: GroupsWritten = Field(default_factory=dict)
    rest: RestSection = RestSection()
    cluster: ClusterSection | None = None
    pod: PodSection | None = None
    openflow_reader: ReaderText = "evbridge"
    vswitches: Annotated[dict[PlainName, VswitchSection], Field(max_length=1000)] = Field(default_factory=dict)
    dps: dict[ShortName, DatapathSection]
