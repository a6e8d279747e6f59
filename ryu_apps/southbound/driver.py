"""The jobs of one switch: their order, the window in which they send, and the replies that belong to each.

Octets in, octets and events out.  Uses no socket and no Ryu, so that a test can drive it as
:mod:`ryu_apps.southbound.session` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import GATE_LANE, Apply, EndRead, Mode, ReadMeters, ReadRules, RequestRole, SendFrame
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import Confirmed, FrameReceived, PortChanged, Rejected, RoleLost, SwitchUp
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import Group, Meter, Rule
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.southbound import decode, flow_stats
from ryu_apps.southbound.bundles import Bundle, PreparedBundles, RehearsalJob
from ryu_apps.southbound.changes import WINDOW, BulkJob, BundleJob, SingleJob, StageJob
from ryu_apps.southbound.counted import portioned_read
from ryu_apps.southbound.encode import ALL_ONES
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import FRAGMENTS_SHOWN, frame_out
from ryu_apps.southbound.ordered import OrderedJob, stages
from ryu_apps.southbound.piece import KnownObjects, PieceCache, meter_messages, openings, other_messages, pieces, steps
from ryu_apps.southbound.portions import PortionedReadJob, PortionedReads
from ryu_apps.southbound.proof import ProofJob
from ryu_apps.southbound.questions import AlteredJob, FragmentsJob, MetersJob, ReadJob
from ryu_apps.southbound.readback import DecodedReadBack, ReadBack
from ryu_apps.southbound.roles import RoleJob, demotes
from ryu_apps.southbound.shape import Shape
from ryu_apps.southbound.sliced import DecodedSlicedReadJob, SlicedReadJob
from ryu_apps.southbound.surveys import PlainSurveyJob, SurveyJob
from ryu_apps.southbound.wall import ExtensionForbidden, guarded
from ryu_apps.southbound.watch import Alien, told

#: Bound on unconfirmed changes of a switch; a switch with more is too slow, and further changes are rejected.
MAX_OPEN = 4096

Octets = bytes | bytearray
#: The command in a group-mod.
_COMMAND, _MODIFY = slice(8, 10), ofp.OFPGC_MODIFY.to_bytes(2)


class SwitchDriver:
    """The jobs of one switch.

    Args:
        dpid: its datapath id.
        send: takes octets for the switch.
        reserve: takes consecutive transaction ids, unique on the connection.
        emit: takes events; must not call back.
        cache: serialised rule blocks, shared by all switches.
        profile: of the switch; without extensions none is sent to it, and gates change in ordered stages.
        watched: the switch reports changes on this connection already, as an earlier driver has asked for.
    """

    def __init__(
        self,
        dpid: int,
        send: Callable[[Octets], None],
        reserve: Callable[[int], range],
        emit: Callable[[Event], None],
        cache: PieceCache,
        profile: Profile = Profile.OPEN_VSWITCH,
        watched: bool = False,
    ) -> None:
        self.dpid = dpid
        self.watched = watched
        self._extended = profile is Profile.OPEN_VSWITCH
        self._send = send = send if self._extended else guarded(send)
        self._reserve = reserve
        self._emit = emit
        self._cache = cache
        self._wire = Transport(send, reserve, self._launch)
        self._lanes: dict[int, deque[Job]] = {}
        self._open: dict[Job, int | None] = {}
        self._flights: dict[int, SentRequest] = {}
        self._newest: SentRequest | None = None
        self._bulk: deque[Job] = deque()
        self._under_way = 0
        self._ports: dict[int, decode.PortState] = {}
        self._known = KnownObjects(replaces=self._extended)
        self._surveyed = False
        self._accepted: set[Shape] = set()
        self._bundles = PreparedBundles()
        self._altered: AlteredJob | None = None
        self._role: RoleJob | None = None
        self._proof: ProofJob | None = None
        self._shown = _as_shown if self._extended else flow_stats.in_order
        self._reads = PortionedReads()

    # --- asked ---
    def request_role(self, asked: RequestRole) -> None:
        """Ask for a role; ends with RoleShown or RoleRefused, unless it is asked again before."""
        if self._role is not None and self._role in self._open:
            del self._open[self._role]
            self._land(next(flight for flight in self._flights.values() if flight.job is self._role))
        self._role = RoleJob(self._wire, asked)
        self._begin(self._role)

    def query_features(self, proof: bool = False) -> None:
        """Query ports, table sizes and meters; ends with SwitchUp.

        Args:
            proof: have the switch prove first that gates may open by meters.
        """
        if proof and self._extended:
            self._proof = ProofJob(self._wire, self.dpid)
            self._begin(self._proof)
        else:
            self._survey()

    def _survey(self) -> None:
        survey = SurveyJob if self._extended else PlainSurveyJob
        self._begin(survey(self._wire, self.dpid, self._ports, self._known, self.watched))

    def send_frame(self, frame: SendFrame) -> None:
        """Send a frame at once."""
        self._send(frame_out(frame.port.port_no, frame.group, frame.data, self._reserve(1)[0]))

    def read(self, asked: ReadRules) -> None:
        """Ask for rules; ends with RulesRead, and for all of them with FragmentsHandled and SwitchRead."""
        if asked.mask == OURS and asked.table is None:
            # A comparison of all rules includes the fragment mode, which decides how rules with ports match.
            wanted = FRAGMENTS_SHOWN if self._extended else ofp.OFPC_FRAG_DROP
            self._begin(FragmentsJob(self._wire, self.dpid, wanted))
            job = SlicedReadJob if self._extended else DecodedSlicedReadJob
            self._begin(self._reads.add(job(self._wire, asked)))
        elif asked.lane is None:
            self._begin(ReadJob(self._wire, asked, self._shown))
        else:
            self._queue(self._reads.add(portioned_read(self._wire, asked, self._shown)), asked.lane)

    def end_read(self, asked: EndRead) -> None:
        """End a read in portions without a further answer."""
        job = self._reads.take(asked.token)
        if job is not None and (lane := self._open.pop(job)) is not None:
            self._advance(lane)
            self._pump()

    @property
    def switching(self) -> bool:
        """True if a gate moves."""
        # Not the lane as it is: a job leaves it when it is sent.
        return any(lane == GATE_LANE and not isinstance(job, BulkJob) for job, lane in self._open.items())

    @property
    def is_read(self) -> bool:
        """True until all reads in portions have ended."""
        return bool(self._reads)

    @property
    def has_reads(self) -> bool:
        """True if :meth:`read_on` has something to do."""
        return self._reads.next(self._is_first) is not None

    @property
    def has_urgent_reads(self) -> bool:
        """True if :meth:`read_on` has something to do for which a VSI waits."""
        job = self._reads.next(self._is_first)
        return job is not None and job.URGENT

    def read_on(self) -> None:
        """Send the next request of the oldest read in portions, or decode a portion of its answer."""
        job = self._reads.next(self._is_first)
        if job is None:
            return
        if job.sends_next:
            job.send()
        elif (portion := job.decode()) is not None:
            self._emit(portion)
        self._review(job)
        self._pump()

    def _is_first(self, job: Job) -> bool:
        lane = self._open[job]
        return lane is None or self._lanes[lane][0] is job

    def read_meters(self, asked: ReadMeters) -> None:
        """Query the counters of meters; ends with MetersRead."""
        self._begin(MetersJob(self._wire, asked))

    def submit(self, asked: Apply) -> None:
        """Carry out a change; ends with Confirmed or Rejected."""
        if len(self._open) >= MAX_OPEN:
            self._emit(Rejected(self.dpid, asked.token, f"{MAX_OPEN} changes wait for the switch already"))
            return
        self._queue(self._job(asked), asked.lane)

    def _queue(self, job: Job, key: int) -> None:
        self._open[job] = key
        lane = self._lanes.setdefault(key, deque())
        lane.append(job)
        if lane[0] is job:
            self._start(job)
            self._pump()
            self._review(job)

    def _job(self, asked: Apply) -> Job:
        match asked.mode:
            case Mode.BULK:
                return BulkJob(self._wire, asked, pieces(self._known.named(asked.change), self._cache, self._known))
            case Mode.STAGE:
                read_back = ReadBack() if self._extended else DecodedReadBack()
                parts = steps(self._known.named(asked.change), self._cache, self._known)
                return StageJob(self._wire, asked, parts, read_back)
            case Mode.ATOMIC if not self._extended:
                return OrderedJob(self._wire, asked, stages(asked.change, self._known))
            case Mode.ATOMIC:
                return self._atomic(asked)

    def _atomic(self, asked: Apply) -> Job:
        change = asked.change
        ahead = tuple(meter_messages(change, self._known.meters))
        behind = tuple(openings(change, self._known.meters)) if change.opened else ()
        prepared = self._bundles.take(change)
        if prepared is not None:
            self._known.groups.update(group.group_id for group in change.groups)
        if prepared is not None and len(prepared) > 1:
            return BundleJob(self._wire, asked, ahead, prepared, self._accepted, behind)
        bundled = prepared.messages if prepared is not None else tuple(other_messages(change, self._known))
        if len(ahead + bundled + behind) <= 1 or not bundled:
            return SingleJob(self._wire, asked, ahead + bundled + behind)
        return BundleJob(self._wire, asked, ahead, Bundle(bundled), self._accepted, behind)

    def prepare(self, change: RuleChange) -> None:
        """Encode a change for a later :meth:`submit`; the switch is asked whether it takes what is new to it."""
        bundle = self._bundles.prepare(change) if self._extended else None
        if bundle is not None and len(bundle) > 1 and not bundle.shapes <= self._accepted:
            self._begin(RehearsalJob(self._wire, self.dpid, bundle, self._accepted))

    def close(self, reason: str = "switch disconnected") -> None:
        """End: the connection or its role is gone, and with it every open job."""
        for job in list(self._open):
            if job is self._role:
                del self._open[job]
                continue
            job.reject(reason)
            self._conclude(job)

    # --- sending ---
    def _begin(self, job: Job) -> None:
        self._open[job] = None
        job.send()

    def _start(self, job: Job) -> None:
        if isinstance(job, BulkJob):
            self._bulk.append(job)
        elif not isinstance(job, PortionedReadJob):
            self._go_on(job, job.send)

    def _go_on(self, job: Job, step: Callable[[], None]) -> None:
        """Let a job send its next part; if the wall forbids that, it is not sent, and the job is rejected."""
        try:
            step()
        except ExtensionForbidden as forbidden:
            assert self._newest is not None, "a job launches what it sends"
            self._land(self._newest)
            job.reject(f"not OpenFlow 1.3: {forbidden}")

    def _pump(self) -> None:
        """Send one batch of each bulk job in turn, while the window is open."""
        while self._bulk and self._under_way < WINDOW:
            job = self._bulk.popleft()
            if not job.all_sent:
                self._go_on(job, job.send)
                self._bulk.append(job)
            self._review(job)

    def _launch(self, flight: SentRequest) -> None:
        self._newest = flight
        self._under_way += flight.weight
        self._flights.update(dict.fromkeys(flight.xids, flight))

    # --- receiving ---
    def receive(self, octets: bytes) -> bool:
        """Take one whole message from the switch.

        Returns:
            True if it answers a request of this driver, so that no other app needs it.
        """
        xid = int.from_bytes(octets[4:8])
        flight = self._flights.get(xid)
        kind = octets[1]
        if kind == ofp.OFPT_PACKET_IN:
            self._frame(octets)
        elif kind == ofp.OFPT_PORT_STATUS:
            self._port(octets)
        elif flight is not None:
            self._answer(flight, xid, octets)
            return True
        elif demotes(octets):
            self._emit(RoleLost(self.dpid))
            return True
        elif (alien := told(octets, self._flights)) is not None:
            self.alter(alien)
            return True
        return False

    def alter(self, alien: Alien) -> None:
        """Handle a foreign change of the switch: one SwitchAltered for all changes reported together."""
        if alien is Alien.NOTHING or not self._surveyed:
            return
        if self._altered is not None and self._altered.outcome is None:
            self._altered.alien = max(self._altered.alien, alien)
        else:
            self._altered = AlteredJob(self._wire, self.dpid, self._known.meters, alien)
            self._begin(self._altered)

    def _frame(self, octets: bytes) -> None:
        frame = decode.packet_in(octets)
        if self._proof is not None and frame.cookie == ALL_ONES and self._proof.came_back(frame.data):
            self._review(self._proof)
        elif self._surveyed and OURS.covers(frame.cookie):
            self._emit(FrameReceived(PortId(self.dpid, frame.in_port), frame.data))

    def _port(self, octets: bytes) -> None:
        port_no, state = decode.port_status(octets)
        if port_no <= ofp.OFPP_MAX:
            self._ports[port_no] = state
            if self._surveyed:
                self._emit(PortChanged(PortId(self.dpid, port_no), *state))

    def _answer(self, flight: SentRequest, xid: int, octets: bytes) -> None:
        job = flight.job
        kind = octets[1]
        last = xid == flight.xids[-1] and not (kind == ofp.OFPT_MULTIPART_REPLY and decode.more_follows(octets))
        if kind == ofp.OFPT_ERROR:
            if demotes(octets):
                # First: what is refused to a SLAVE is not refused because of what it says.
                self._emit(RoleLost(self.dpid))
            self._refuse(flight, xid, decode.error(octets))
        elif last:
            self._go_on(job, partial(job.answered, flight, octets))
        else:
            job.interim(xid, octets)
        if last:
            self._land(flight)
        self._review(job)
        self._pump()

    def _refuse(self, flight: SentRequest, xid: int, error: decode.SwitchError) -> None:
        subject = flight.subject(xid)
        if subject is not None and isinstance(subject.what, Meter):
            self._known.meters.discard(subject.what.meter_id)
        elif subject is not None and isinstance(subject.what, Rule) and subject.what.meter is not None:
            # Another controller may have deleted the meter: it is added again the next time it is wanted.
            self._known.meters.discard(subject.what.meter)
        elif subject is not None and isinstance(subject.what, Group) and not self._known.replaces:
            # A group that could not be added is there already; one that could not be modified is gone.
            known = self._known.groups
            (known.discard if flight.octets(xid)[_COMMAND] == _MODIFY else known.add)(subject.what.group_id)
        flight.job.refused(flight, xid, error)

    def _land(self, flight: SentRequest) -> None:
        self._under_way -= flight.weight
        for xid in flight.xids:
            del self._flights[xid]

    def _review(self, job: Job) -> None:
        """Tell how a job has ended; let the next one of its lane begin when this one has sent all."""
        lane = self._open.get(job)
        if job.outcome is not None and job in self._open:
            self._conclude(job)
        if lane is not None and job.all_sent:
            self._advance(lane)

    def _conclude(self, job: Job) -> None:
        assert job.outcome is not None
        del self._open[job]
        self._reads.take(job.token)
        if isinstance(job, ProofJob) and isinstance(job.outcome, Confirmed):
            self._survey()
            return
        if isinstance(job.outcome, SwitchUp) and self._proof is not None:
            job.outcome = replace(job.outcome, unproven=self._proof.fault)
        if isinstance(job.outcome, SwitchUp):
            self.watched = job.outcome.watched
        self._surveyed |= isinstance(job, SurveyJob)
        self._emit(job.outcome)

    def _advance(self, key: int) -> None:
        lane = self._lanes.get(key)
        while lane and lane[0].all_sent:
            lane.popleft()
            if lane and not lane[0].all_sent:
                self._start(lane[0])
        if not lane:
            self._lanes.pop(key, None)


def _as_shown(rule: Rule) -> Rule:
    """The rule itself: Open vSwitch shows fields in canonical order."""
    return rule
