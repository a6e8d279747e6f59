"""Sections of evbridge.yaml about other machines: back ends, VSI managers, REST clients, stores and pods."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PlainValidator, Tag, WithJsonSchema, model_validator

from ryu_apps.evb.config.values import (
    FileName,
    HostName,
    IpAddressText,
    MacText,
    MemberName,
    PlainName,
    Remote,
    TransportPort,
    Url,
    VlanId,
)
from ryu_apps.evb.policy.offer import LIFETIME, MAX_SIZE, TIMEOUT
from ryu_apps.evb.policy.validate import Strict, Timeout
from ryu_apps.evb.wire.manager_text import manager_from_text

#: Default seconds for an answer of another pod.
POD_TIMEOUT = 2.0
#: Default seconds without a renewal of its lease after which the leader of a cluster is replaced, the least, and most.
PATIENCE, MIN_PATIENCE, MAX_PATIENCE = 0.6, 0.3, 5.0


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


class InstanceSection(Strict):
    """One VM of an appliance: the VIDs of both of its legs, or the MAC address of a router."""

    inside: VlanId | None = None
    outside: VlanId | None = None
    mac: MacText | None = None
    address: IpAddressText | None = None

    @model_validator(mode="after")
    def _bump_or_router(self) -> InstanceSection:
        legs = self.inside is not None, self.outside is not None
        if legs[0] is not legs[1] or legs[0] is (self.mac is not None):
            raise ValueError("either inside and outside were expected, or mac")
        if self.address is not None and self.mac is None:
            raise ValueError("address belongs to mac")
        return self


class ProbingSection(Strict):
    """Test of the instances of an appliance."""

    interval: Annotated[float, Field(ge=0.2, le=60)] = 1.0
    missed: Annotated[int, Field(ge=1, le=100)] = 3


class ApplianceSection(Strict):
    """VMs through which traffic of others is led."""

    vlan: VlanId
    passed: VlanId | None = None
    probe: ProbingSection | None = None
    instances: Annotated[dict[PlainName, InstanceSection], Field(min_length=1, max_length=8)]


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


class RestSection(Strict):
    """Access to REST."""

    names: Annotated[list[HostName], Field(max_length=100)] = Field(default_factory=list)
    tokens: FileName | None = None
    certificate: FileName | None = None
    private_key: FileName | None = None


class StoreSection(Strict):
    """The servers of a store that several bridges share."""

    remotes: Annotated[list[Remote], Field(min_length=1, max_length=9)]
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
    directory: Annotated[list[Remote], Field(min_length=1, max_length=9)]
    private_key: FileName | None = None
    certificate: FileName | None = None
    ca_file: FileName | None = None
    on_unreachable: Literal["refuse", "take"] = "refuse"
    peers: Annotated[dict[MemberName, PeerSection], Field(max_length=1000)] = Field(default_factory=dict)
