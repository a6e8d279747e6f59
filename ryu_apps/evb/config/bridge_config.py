"""The checked configuration of a bridge as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ryu_apps.evb.config.schema import FORWARD_IN_FLIGHT, STATISTICS_INTERVAL, ReaderText
from ryu_apps.evb.config.service_sections import PATIENCE, POD_TIMEOUT
from ryu_apps.evb.model import Retention
from ryu_apps.evb.snooping.settings import USUAL, Snooping
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.vsi_types.managers import ALL_LOCAL, VsiManagers


@dataclass(frozen=True, slots=True)
class RestAccess:
    """Access to REST; paths are relative to the configuration file.

    Attributes:
        names: host names that a request may address, besides the addresses of the machine.
        tokens: file of the tokens; None: no request needs one.
        certificate, private_key: files in PEM for TLS, both or none.
    """

    names: tuple[str, ...] = ()
    tokens: str | None = None
    certificate: str | None = None
    private_key: str | None = None


@dataclass(frozen=True, slots=True)
class SharedStore:
    """A store on several servers; paths are relative to the configuration file.

    Attributes:
        remotes: the servers, as ``tcp:HOST:PORT``, ``ssl:HOST:PORT`` or ``unix:PATH``.
        private_key, certificate, ca_file: files in PEM for TLS, all or none.
    """

    remotes: tuple[str, ...]
    private_key: str | None = None
    certificate: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterMembership:
    """This bridge as a member of a cluster: several bridges with one store, of which one leads.

    Attributes:
        name: of this member, unique in the cluster; empty: the name of the host.
        address: URL of its REST resources, as clients of other members reach it; empty: not told.
        patience: seconds without a renewal of the lease after which another member may lead.
    """

    name: str = ""
    address: str = ""
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Peer:
    """Another pod; paths are relative to the configuration file.

    Attributes:
        urls: of the REST resources of its bridges, slash included; they are tried in this order.
        timeout: seconds for an answer.
        ca_file: certificates that authenticate them, None for those that the system trusts.
        token_file: file with the token that authenticates us, None for none.
    """

    urls: tuple[str, ...]
    timeout: float = POD_TIMEOUT
    ca_file: str | None = None
    token_file: str | None = None


@dataclass(frozen=True, slots=True)
class PodMembership:
    """This bridge as (a member of) a pod, between which VMs move; paths are relative to the configuration file.

    Attributes:
        name: of this pod.
        directory: servers of the directory that all pods share, as of a store.
        peers: the other pods.
        on_unreachable: ``refuse`` or ``take``: a VSI of a pod that cannot be reached.
        private_key, certificate, ca_file: files in PEM for TLS with the directory, all or none.
    """

    name: str
    directory: tuple[str, ...]
    peers: Mapping[str, Peer] = field(default_factory=dict)
    on_unreachable: str = "refuse"
    private_key: str | None = None
    certificate: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class BridgeConfig:
    """A checked configuration.

    Attributes:
        fabric: the switches.
        policies: files and directories, as written: relative to the configuration file.
        state_dir: directory of durable state, None for no durable state.
        store: the store that takes the place of the directory; None: there is none.
        multicast: the queriers.
        statistics_interval: seconds between readings of all counters.
        vsi_managers: sources of the VSI types of VSI managers.
        statistics_retention: limits on the totals of VSIs without any association.
        forward_in_flight: seconds for which a VM's former switch forwards frames in flight to it.
        rest: who may send REST requests, and how.
        cluster: the membership of the cluster of all bridges with the same store; None: there is no such store.
        pod: the membership of a pod; None: there are no other pods.
        openflow_reader: ``evbridge``, or ``ryu``: every OpenFlow message goes through Ryu's reader and dispatch.
    """

    fabric: Fabric
    policies: tuple[str, ...] = ()
    state_dir: str | None = None
    multicast: Snooping = USUAL
    statistics_interval: float = STATISTICS_INTERVAL
    vsi_managers: VsiManagers = ALL_LOCAL
    forward_in_flight: int = FORWARD_IN_FLIGHT
    rest: RestAccess = RestAccess()
    statistics_retention: Retention = Retention()
    openflow_reader: ReaderText = "evbridge"
    store: SharedStore | None = None
    cluster: ClusterMembership | None = None
    pod: PodMembership | None = None
