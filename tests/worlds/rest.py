"""A bridge on a fake clock that also answers REST requests, without a web server in between."""

from __future__ import annotations

import logging
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

from webob import Request, Response

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.followed import FollowedVsis
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.bridge.vsi_queries import VsiQueries
from ryu_apps.evb.cluster.status import ClusterStatus
from ryu_apps.evb.config.bridge_config import RestAccess
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.effect import Effect
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import PoliciesLoaded
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.store import StoreError
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ethernet import ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.event_log import EventLog
from ryu_apps.metrics.bridge import Metrics
from ryu_apps.rest.application import respond
from ryu_apps.rest.bridge import Pods
from tests.worlds.bridge import POLICIES, World
from tests.worlds.documented import check_answer

#: Unix time when the monotonic clock stood at 0.
EPOCH = 1_700_000_000.0


@dataclass
class RestWorld(World):
    """The interface of ``evb_bridge`` that REST uses.

    Attributes:
        pauses: number of pauses while answering.
        rest: who may send requests.
        loaded: the bridge app runs.
        offered: policies that a reload loads.
        in_cluster: what it knows of its cluster.
        config_mistakes: of evbridge.yaml, when it is read again.
        pods: the link to other pods.
        transfers: the successors to which it was asked to give the lead.
        unreadable: the store does not answer.
        starting: policies are being read.
    """

    wall_offset: float = EPOCH
    rest: RestAccess = RestAccess()
    pauses: int = 0
    loaded: bool = True
    offered: PolicySet = POLICIES
    config_mistakes: list[str] = field(default_factory=list)
    in_cluster: ClusterStatus | None = None
    transfers: list[str] = field(default_factory=list)
    unreadable: bool = False
    starting: bool = False
    pods: Pods | None = None

    def __post_init__(self) -> None:
        World.__post_init__(self)
        self.started = self.now
        self.alarms = Alarms()
        self.metrics = Metrics(self.queries, self.alarms)
        self.journal = EventLog(logging.getLogger("evb_bridge"))

    @property
    def queries(self) -> BridgeQueries:
        """The questions to the engine that runs."""
        return BridgeQueries(self.engine)

    def deliver(self, event: Event) -> None:
        """As the app does."""
        self.feed(event)

    def cluster(self, now: float) -> ClusterStatus | None:
        """As the app does."""
        return self.in_cluster

    def vsis(self) -> VsiQueries | FollowedVsis:
        """As the app does; ``unreadable``: the store does not answer."""
        if self.in_cluster is None or self.in_cluster.leads:
            return self.queries.vsis
        if self.unreadable:
            raise StoreError("no leader")
        return FollowedVsis(self.fabric, self.store, self.engine.types.recall)

    def transfer(self, successor: str) -> None:
        """As the app does."""
        self.transfers.append(successor)

    @property
    def reloader(self) -> WorldReloader:
        """As the app has it."""
        return WorldReloader(self)

    def agree(self, port: PortId, **evb: object) -> None:
        """Reach an EVB agreement: the station at a port sends its EVB TLV in LLDP."""
        usual = {"rrstat": RrStatus.UNKNOWN, "r": 3, "rte": 10, "rwd": 17, "rka": 17}
        tlv = EvbTlv(mode=EvbMode.STATION, **{**usual, **evb})
        # What a bridge and a station send differs in the EVB TLV alone.
        lldpdu = bridge_lldpdu(station_mac(port), "eth0", 121, tlv)
        frame = Frame(NEAREST_CUSTOMER_BRIDGE, station_mac(port), ETHERTYPE_LLDP, lldpdu.encode())
        self.feed(FrameReceived(port, frame.encode()))

    def request(self, path: str, method: str = "GET", body: bytes = b"") -> Response:
        """Serve one request; the answer has to be as ``/evb/openapi.json`` says."""
        response = respond(
            Request.blank(path, method=method, body=body, content_type="application/json"),
            bridge=lambda: self if self.loaded else None,
            clock=lambda: self.now,
            pause=self._pause,
            limit=unhurried,
        )
        check_answer(method, path.partition("?")[0], response)
        return response

    def get(self, path: str) -> object:
        """Return the JSON value at a path that exists."""
        response = self.request(path)
        assert response.status_code == 200, response.text
        return response.json

    def refusal(self, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, str]:
        """Return status and reason of a request that is refused."""
        response = self.request(path, method, body)
        assert set(response.json) == {"error"}
        return response.status_code, response.json["error"]

    def _pause(self, seconds: float) -> None:
        self.pauses += 1
        if seconds:
            self.advance(seconds)

    def _perform(self, effect: Effect) -> None:
        World._perform(self, effect)
        if isinstance(effect, LogEvent):
            self.record([effect, *self.alarms.observe(effect, self.now)])

    def advance(self, seconds: float) -> None:
        """Advance the clock, serving the deadlines of alarms too."""
        until = self.now + seconds
        while (deadline := self.alarms.deadline) is not None and deadline <= until:
            World.advance(self, max(0.0, deadline - self.now))
            self.record(self.alarms.tick(self.now))
        World.advance(self, until - self.now)

    def record(self, told: list[LogEvent]) -> None:
        """As the app does."""
        for happened in told:
            self.journal.write(happened, self.now)
            self.metrics.observe(happened, self.now)


class WorldReloader(NamedTuple):
    """Reloads of a world, whose files are values."""

    world: RestWorld

    def configuration(self) -> list[str]:
        """As the app does; ``config_mistakes`` are those of a file."""
        return self.world.config_mistakes or self.policies()

    def policies(self) -> list[str]:
        """As the app does, with ``offered`` in place of files."""
        mistakes = [str(objection) for objection in self.world.engine.types.objections(self.world.offered)]
        self.world.feed(PoliciesLoaded(self.world.offered))
        return mistakes


def pages(world: RestWorld, path: str, limit: int) -> list[list[dict[str, object]]]:
    """All parts of a list, as a client finds them by the header Link."""
    found, url = [], f"{path}{'&' if '?' in path else '?'}limit={limit}"
    while True:
        response = world.request(url)
        found.append(response.json)
        assert response.status_code == 200, response.text
        if "Link" not in response.headers:
            return found
        (url,) = re.findall(r'^<([^>]+)>; rel="next"$', response.headers["Link"])
        assert len(found) < 1000


def unhurried(seconds: float) -> AbstractContextManager[object]:
    """Context without a limit on the time of reading a body."""
    return nullcontext()


def station_mac(port: PortId) -> int:
    """Source address of the station at a port."""
    return 0x020000000000 | port.dpid << 8 | port.port_no
