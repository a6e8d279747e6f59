"""Jobs that query a switch: its rules, its fragment mode and its meters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from functools import partial

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import ReadMeters, ReadRules
from ryu_apps.evb.events.switch import FragmentsHandled, MetersRead, RulesRead, SwitchAltered, SwitchUp
from ryu_apps.evb.flow.rule import MeterCount, Rule
from ryu_apps.southbound import decode, flow_stats
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import (
    ALL_TABLES,
    FRAGMENTS_SHOWN,
    Query,
    config_shown,
    flow_stats_request,
    get_config,
    multipart_request,
    set_config,
)
from ryu_apps.southbound.watch import Alien

ALL_METERS = ofp.OFPM_ALL.to_bytes(4) + bytes(4)


class ReadJob(Job):
    """Some rules, in one go."""

    def __init__(self, wire: Transport, asked: ReadRules, shown: Callable[[Rule], Rule]) -> None:
        super().__init__(wire, asked.dpid, asked.token)
        self._shown = shown
        self._query = Query(asked.mask, ALL_TABLES if asked.table is None else asked.table, asked.match)
        self._rules: list[Rule] = []

    def send(self) -> None:
        self.ask(partial(flow_stats_request, self._query))
        self.all_sent = True

    def interim(self, xid: int, octets: bytes) -> None:
        self._rules += (self._shown(flow_stats.rule(entry)) for entry in flow_stats.entries(octets))

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        self.interim(flight.xids[-1], octets)
        self.outcome = self.outcome or RulesRead(self.dpid, self.token, tuple(self._rules))


class FragmentsJob(Job):
    """Query the fragment mode; if it is not the wanted one, set it and query again."""

    def __init__(self, wire: Transport, dpid: int, wanted: int = FRAGMENTS_SHOWN) -> None:
        super().__init__(wire, dpid, 0)
        self._wanted = wanted
        self._before: bool | None = None

    def send(self) -> None:
        self.ask(get_config)
        self.all_sent = True

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        config = config_shown(octets)
        shown = config.fragments == self._wanted
        if shown or self._before is not None:
            self._conclude(shown)
            return
        self._before = False
        wanted, (first, second) = config._replace(fragments=self._wanted), self.wire.reserve(2)
        self.wire.launch(SentRequest(self, range(first, second + 1)))
        self.wire.send(set_config(wanted, first) + get_config(second))

    def refused(self, flight: SentRequest, xid: int, error: decode.SwitchError) -> None:
        """Conclude after a refusal; the mode in force is in the switch's next answer, if there is one."""
        if xid == flight.xids[-1]:
            self._conclude(shown=False)

    def _conclude(self, shown: bool) -> None:
        self.outcome = FragmentsHandled(self.dpid, shown if self._before is None else self._before, shown)


class SeveralJob(Job):
    """Several queries at once; the result of a refused one is empty."""

    def __init__(self, wire: Transport, dpid: int, token: int) -> None:
        super().__init__(wire, dpid, token)
        self._unanswered = 0

    def ask_all(self, questions: Iterable[tuple[int, bytes]]) -> None:
        """Send multipart requests: kind and body."""
        asked = tuple(questions)
        self._unanswered += len(asked)
        for kind, body in asked:
            self.ask(partial(multipart_request, kind, body))
        self.all_sent = True

    @abstractmethod
    def result(self) -> MetersRead | SwitchUp | SwitchAltered:
        """Event made of all answers."""

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        self.interim(flight.xids[-1], octets)
        self._one_less()

    def refused(self, flight: SentRequest, xid: int, error: decode.SwitchError) -> None:
        if xid == flight.xids[-1]:
            self._one_less()

    def _one_less(self) -> None:
        self._unanswered -= 1
        if not self._unanswered and self.outcome is None:
            self.outcome = self.result()


class MetersJob(SeveralJob):
    """Read the counters of meters: one request for all, or one for each named meter."""

    def __init__(self, wire: Transport, asked: ReadMeters) -> None:
        super().__init__(wire, asked.dpid, asked.token)
        self._meters = asked.meters or (ofp.OFPM_ALL,)
        self._counts: list[MeterCount] = []

    def send(self) -> None:
        self.ask_all((ofp.OFPMP_METER, meter_id.to_bytes(4) + bytes(4)) for meter_id in self._meters)

    def interim(self, xid: int, octets: bytes) -> None:
        self._counts += decode.meter_counts(octets)

    def result(self) -> MetersRead:
        """Counters; a meter that does not exist has none."""
        return MetersRead(self.dpid, self.token, tuple(self._counts))


class AlteredJob(SeveralJob):
    """The meters that are left after a foreign change of the switch.

    Args:
        meters: ids of the meters that it had; updated.

    Attributes:
        alien: kind of the foreign change; raised when a later update reports more.
    """

    def __init__(self, wire: Transport, dpid: int, meters: set[int], alien: Alien) -> None:
        super().__init__(wire, dpid, 0)
        self.alien = alien
        self._meters = meters
        self._before: set[int] = set()
        self._found: set[int] = set()

    def send(self) -> None:
        self._before = set(self._meters)
        self.ask_all([(ofp.OFPMP_METER_CONFIG, ALL_METERS)])

    def interim(self, xid: int, octets: bytes) -> None:
        self._found.update(meter.meter_id for meter in decode.meters(octets))

    def result(self) -> SwitchAltered:
        """The foreign change; reports that came before the reply are covered by a comparison that follows."""
        # Meters that were added after the query are not in the reply.
        self._meters -= self._before - self._found
        self._meters |= self._found - self._before
        return SwitchAltered(self.dpid, frozenset(self._found), certain=self.alien is Alien.OURS)
