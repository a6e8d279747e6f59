"""Order of effects: what must have been confirmed or sent before an effect may go out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaging,
    RulesSwept,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRequested,
    VsiActive,
    VsiAnnounced,
    VsiGone,
)
from ryu_apps.evb.events.effect import Apply, Effect, Mode, ReadRules, Save
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import NotSaved, Saved, TimerExpired
from ryu_apps.evb.events.switch import Confirmed, Rejected, SwitchDown
from ryu_apps.evb.pipeline.tables import CookieKind, Table, parse_cookie
from ryu_apps.evb.record_kinds import ATTACHMENT, OPENING
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord
from ryu_apps.evb.wire.vdp import ResponseStatus, VdpError, VdpMode

#: A program in a switch: datapath id, index and generation.
Program = tuple[int, int, int]
#: A VSI at a port.
Place = tuple[PortId, str]


@dataclass
class EffectOrder:
    """Follows the events and effects of an engine; an assertion fails at an effect that comes too early.

    Attributes:
        durable: records that the engine knows to be in the store.
    """

    durable: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places: dict[Program, Place] = {}
        self._bodies: dict[Place, set[Program]] = {}
        self._associated: set[Place] = set()
        self._open: set[tuple[int, int]] = set()
        self.restart(self.durable)

    def restart(self, store: Mapping[str, bytes]) -> None:
        """Begin with a new engine: nothing is under way, and tokens are numbered anew."""
        self.durable = dict(store)
        self._saving: dict[int, dict[str, bytes | None]] = {}
        self._staging: dict[int, Program] = {}
        self._opening: dict[int, frozenset[tuple[int, int]]] = {}
        self._deleting: dict[int, Place] = {}
        self._shutting: dict[int, frozenset[tuple[int, int]]] = {}
        self._dpid_of: dict[int, int] = {}
        self._recorded: set[str] = set()
        self._late: set[str] = set()

    def observe(self, event: Event, effects: list[Effect]) -> None:
        """Process an event that an engine was fed, and its effects in their order."""
        self._answered(event)
        # The refusal of what takes too long waits for a time only: for deletions of this event, it would not have.
        under_way = set(chain.from_iterable(self._saving.values()))
        self._late = under_way if isinstance(event, TimerExpired) else set()
        staging: Place | None = None
        deleted: set[tuple[int, int]] = set()
        for number, effect in enumerate(effects):
            match effect:
                case BodyStaging(port, vsi):
                    staging = port, vsi
                case LogEvent():
                    self._logged(effect, effects[number + 1 :])
                case Save(token, changes):
                    self._saving[token] = changes
                    self._recorded.update(key for key, record in _marks(changes) if record is not None)
                case ReadRules(mask=mask):
                    owner = parse_cookie(mask.cookie)
                    if owner is not None and owner.kind is CookieKind.STATE:
                        assert (owner.owner, owner.generation) not in deleted, f"read after its removal: {effect}"
                case Apply():
                    deleted |= self._applied(effect, staging)

    # --- what was answered ---
    def _answered(self, event: Event) -> None:
        match event:
            case Saved(token):
                changes = self._saving.pop(token, {})
                self._recorded.difference_update(key for key, record in _marks(changes) if record is None)
                for key, record in changes.items():
                    if record is None:
                        self.durable.pop(key, None)
                    else:
                        self.durable[key] = record
            case NotSaved(token):
                # A station does not wait for a writing that has to be repeated.
                self._recorded.difference_update(key for key, _ in _marks(self._saving.pop(token, {})))
            case Confirmed(_, token) | Rejected(_, token):
                self._settle(token)
            case SwitchDown(dpid):
                for token in [token for token, where in self._dpid_of.items() if where == dpid]:
                    self._settle(token)

    def _settle(self, token: int) -> None:
        for under_way in (self._staging, self._opening, self._shutting, self._deleting, self._dpid_of):
            under_way.pop(token, None)

    # --- changes of switches ---
    def _applied(self, apply: Apply, staging: Place | None) -> set[tuple[int, int]]:
        """Check a change; returns the programs whose learned state it removes."""
        if apply.token:
            self._dpid_of[apply.token] = apply.dpid
        rules = list(chain(apply.change.add, *(block.rules for block in apply.change.blocks)))
        for owner in _owners((rule.cookie for rule in rules), CookieKind.VSI_BODY):
            if apply.mode is Mode.STAGE and staging is not None:
                program = (apply.dpid, *owner)
                self._staging[apply.token] = program
                self._places[program] = staging
                self._bodies.setdefault(staging, set()).add(program)
        if apply.mode is Mode.ATOMIC:
            self._gates(apply)
        for owner in _owners((mask.cookie for mask in apply.change.delete_by_cookie), CookieKind.VSI_BODY):
            self._deleted(apply, (apply.dpid, *owner))
        return set(_owners((mask.cookie for mask in apply.change.delete_by_cookie), CookieKind.STATE))

    def _gates(self, apply: Apply) -> None:
        opened = frozenset(_owners((rule.cookie for rule in apply.change.add), CookieKind.GATE))
        # A row of MEMBERS also goes when no rule names its set any more, while the gate stays open.
        gone = (rule.cookie for rule in apply.change.remove if rule.table is not Table.MEMBERS)
        removed = frozenset(_owners(gone, CookieKind.GATE))
        shut = (removed - opened) & self._open
        staged = {(index, generation) for _, index, generation in self._staging.values()}
        assert not opened & staged, f"a gate before its body is confirmed: {sorted(opened & staged)}"
        self._open |= opened
        if opened:
            self._opening[apply.token] = opened
        if shut:
            self._shutting[apply.token] = shut

    def _deleted(self, apply: Apply, program: Program) -> None:
        place = self._places.pop(program, None)
        if place is None:
            return
        bodies = self._bodies[place]
        bodies.discard(program)
        if not bodies:
            # The last body of a VSI at a port: it leaves.  Otherwise a request has changed, and its gate stays open.
            assert place not in self._associated, f"a body is removed before its station is informed: {place}"
        shutting = set(chain.from_iterable(self._shutting.values()))
        assert program[1:] not in shutting, f"a body is removed before its gate is shut: {place}"
        if apply.token:
            self._deleting[apply.token] = place

    # --- what is logged ---
    def _logged(self, event: LogEvent, later: list[Effect]) -> None:
        if isinstance(event, VdpAnswered):
            self._concluded((event.port, event.vsi), event.mode is VdpMode.ASSOCIATE and event.status.success)
        match event:
            case VdpAnswered(port, vsi, mode, ResponseStatus(VdpError.SUCCESS)):
                self._granted((port, vsi), mode)
            case VdpAnswered(port, vsi, status=ResponseStatus(keep=False)):
                self._associated.discard((port, vsi))
            case VdpRequested(port, vsi, mode) if mode is not VdpMode.ASSOCIATE:
                # A station that goes back to Pre-Associate asks for the end of the association itself.
                self._associated.discard((port, vsi))
            case UnsolicitedDeassociate(port, vsi) | VsiGone(port, vsi):
                self._associated.discard((port, vsi))
            case RulesSwept(port, vsi):
                place = port, vsi
                assert place not in self._deleting.values(), f"a VSI ends before its rules are removed: {place}"
            case VsiAnnounced(port, vsi):
                answers = [(log.port, log.vsi) for log in later if isinstance(log, VsiActive)]
                assert (port, vsi) not in answers, f"announced before the answer: {port, vsi}"

    def _concluded(self, place: Place, opened: bool) -> None:
        """Process an answer: the store has the opening of the gate, or has it no more."""
        mark = OPENING.key(f"{place[1]}@{place[0]}")
        if opened:
            self._recorded.discard(mark)
        assert mark in self._late or mark not in self._recorded, f"answered before the store has it back: {place}"

    def _granted(self, place: Place, mode: VdpMode) -> None:
        if mode is VdpMode.DEASSOCIATE:
            self._associated.discard(place)
            return
        record = self.durable.get(ATTACHMENT.key(f"{place[1]}@{place[0]}"))
        assert record is not None, f"granted before the store has it: {place}"
        assert AttachmentRecord.decode(record).mode is mode, f"granted before the store has it: {place}"
        programs = {program[1:] for program in self._bodies.get(place, ())}
        shutting = programs & set(chain.from_iterable(self._shutting.values()))
        assert not shutting, f"granted before a gate is shut: {place}"
        if mode is VdpMode.ASSOCIATE:
            self._associated.add(place)
            opening = programs & set(chain.from_iterable(self._opening.values()))
            assert not opening, f"granted before the gate is confirmed: {place}"


def _marks(changes: Mapping[str, bytes | None]) -> Iterator[tuple[str, bytes | None]]:
    """Yield the marks of gates that are being opened, among changes of the store."""
    return ((key, record) for key, record in changes.items() if key.startswith(OPENING.prefix))


def _owners(cookies: Iterable[int], kind: CookieKind) -> Iterator[tuple[int, int]]:
    """Yield index and generation of the programs that some cookies name."""
    for cookie in cookies:
        owner = parse_cookie(cookie)
        if owner is not None and owner.kind is kind:
            yield owner.owner, owner.generation
