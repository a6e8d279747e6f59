"""The three ways to change a switch (:class:`ryu_apps.evb.events.effect.Mode`), as jobs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Apply
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.southbound.bundles import Bundle
from ryu_apps.southbound.decode import SwitchError
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import (
    MeterQuery,
    Query,
    barrier,
    bundle_control,
    flow_stats_request,
    meter_config_request,
    numbered,
)
from ryu_apps.southbound.piece import NOTHING, Batch, QueuedMessage
from ryu_apps.southbound.readback import DecodedReadBack, ReadBack
from ryu_apps.southbound.shape import Shape

#: Pieces under way at a time.  One would leave the switch idle for a round trip after each; every
#: further one is what the switching of a gate has to wait for.
WINDOW = 2


class BulkJob(Job):
    """Batches with a barrier behind each; other jobs send between two of them."""

    def __init__(self, wire: Transport, asked: Apply, steps: Iterator[Batch | Query | MeterQuery]) -> None:
        super().__init__(wire, asked.dpid, asked.token)
        self._steps = steps
        self._next: Batch | Query | MeterQuery | None = None
        self._unanswered = 0

    def send(self) -> None:
        step = self._next or next(self._steps, NOTHING)
        self._next = next(self._steps, None)
        self.all_sent = self._next is None
        self._unanswered += 1
        if isinstance(step, Query):
            self.ask(partial(flow_stats_request, step), weight=1)
        elif isinstance(step, MeterQuery):
            self.ask(partial(meter_config_request, step), weight=1)
        else:
            self.install(step)

    def install(self, piece: Batch) -> None:
        """Send a piece."""
        xids = self.wire.reserve(len(piece) + 1)
        self.wire.launch(SentRequest(self, xids, piece.messages, weight=1))
        self.wire.send(piece.numbered(xids.start) + barrier(xids[-1]))

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        self._unanswered -= 1
        if self.all_sent and not self._unanswered and self.outcome is None:
            self.complete()

    def complete(self) -> None:
        """The switch has answered everything."""
        self.outcome = Confirmed(self.dpid, self.token)


class StageJob(BulkJob):
    """Batches as in :class:`BulkJob`, then a read-back that compares every rule."""

    def __init__(
        self,
        wire: Transport,
        asked: Apply,
        steps: Iterator[Batch | Query | MeterQuery],
        read_back: ReadBack | DecodedReadBack,
    ) -> None:
        super().__init__(wire, asked, steps)
        self._read_back = read_back

    def install(self, piece: Batch) -> None:
        super().install(piece)
        self._read_back.expect(piece)

    def interim(self, xid: int, octets: bytes) -> None:
        if self.outcome is None:
            self._read_back.check(octets)

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        if octets[1] == ofp.OFPT_MULTIPART_REPLY:
            self.interim(flight.xids[-1], octets)
        super().answered(flight, octets)

    def complete(self) -> None:
        if wrong := self._read_back.verdict():
            self.reject(wrong)
        else:
            super().complete()


class SingleJob(Job):
    """Mode.ATOMIC for one message: it is atomic by itself, and a barrier is cheaper than a bundle."""

    def __init__(self, wire: Transport, asked: Apply, messages: tuple[QueuedMessage, ...]) -> None:
        super().__init__(wire, asked.dpid, asked.token)
        self._messages = messages

    def send(self) -> None:
        xids = self.wire.reserve(len(self._messages) + 1)
        self.wire.launch(SentRequest(self, xids, self._messages))
        parts = [numbered(octets, xid) for (octets, _subject), xid in zip(self._messages, xids, strict=False)]
        self.wire.send(b"".join([*parts, barrier(xids[-1])]))
        self.all_sent = True

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        self.outcome = self.outcome or Confirmed(self.dpid, self.token)


class BundleJob(Job):
    """Mode.ATOMIC for several messages: one ordered, atomic bundle.

    Meters cannot be bundled; they are sent before the bundle, and have no effect until a rule names them.  Those that
    make the change act on cached flows at once are ahead of a bundle that is committed in the same write, for the first
    frame waits for them alone.  If the switch has yet to check the bundle, it is likelier to refuse it: then they are
    sent when it is committed, and the next change of the lane waits for them.

    Args:
        ahead: messages that are not part of the bundle.
        bundle: those that are.
        accepted: shapes that the switch is known to take (see :mod:`ryu_apps.southbound.shape`); kept up.
        opening: messages that make the change act at once; a refusal of them does not concern the bundle.
    """

    def __init__(
        self,
        wire: Transport,
        asked: Apply,
        ahead: tuple[QueuedMessage, ...],
        bundle: Bundle,
        accepted: set[Shape],
        opening: tuple[QueuedMessage, ...] = (),
    ) -> None:
        super().__init__(wire, asked.dpid, asked.token)
        self._ahead = ahead
        self._opening = opening
        self._bundle = bundle
        self._accepted = accepted
        self._commit = 0

    def send(self) -> None:
        messages = self._ahead + self._bundle.messages
        committed = self._bundle.checked and self._bundle.shapes <= self._accepted
        first = self._opened() if committed else b""
        xids = self.wire.reserve(len(messages) + 3)
        opening, check, self._commit = xids[-3:]
        self.wire.launch(SentRequest(self, xids, messages))
        parts = [numbered(octets, xid) for (octets, _subject), xid in zip(self._ahead, xids, strict=False)]
        # The id of the commit serves as the id of the bundle: both are used once in a connection.
        bundle = self._bundle.numbered(opening, xids.start + len(self._ahead), self._commit)
        self.all_sent = committed
        end = self._control(ofp.ONF_BCT_COMMIT_REQUEST) if committed else barrier(check)
        # Meters that are shut first: one that is opened may take the place of another one.
        self.wire.send(b"".join([*parts, first, bundle, end]))

    def interim(self, xid: int, octets: bytes) -> None:
        if octets[1] == ofp.OFPT_BARRIER_REPLY:
            good = self.outcome is None
            self.wire.send(self._control(ofp.ONF_BCT_COMMIT_REQUEST if good else ofp.ONF_BCT_DISCARD_REQUEST))
            self.all_sent = not (good and self._opening)

    def _control(self, request: int) -> bytes:
        return bundle_control(self._commit, request, self._commit)

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        if self.outcome is None and flight.messages is not self._opening:
            self._accepted |= self._bundle.shapes
            self.outcome = Confirmed(self.dpid, self.token)
            if not self.all_sent:
                self.all_sent = True
                self.wire.send(self._opened())

    def _opened(self) -> bytes:
        """Begin the request that makes the change act at once, and return its octets."""
        if not self._opening:
            return b""
        xids = self.wire.reserve(len(self._opening) + 1)
        self.wire.launch(SentRequest(self, xids, self._opening))
        parts = [numbered(octets, xid) for (octets, _subject), xid in zip(self._opening, xids, strict=False)]
        return b"".join([*parts, barrier(xids[-1])])

    def refused(self, flight: SentRequest, xid: int, error: SwitchError) -> None:
        # An audit finds a meter that is not opened as it is.
        if flight.messages is not self._opening:
            super().refused(flight, xid, error)
            self._accepted -= self._bundle.shapes
