"""The VSI types that stations may request, from the local directory or from VSI managers over HTTP.

802.1Q clause 41: a station names a VSI manager, a type and a version, and the bridge obtains the type.
A type that is not known is fetched by :class:`~ryu_apps.evb.events.effect.FetchType`; the request waits, for at most
half the resource wait delay, since the switches need the other half.

A type that a VSI uses never changes: a later change at its manager, or a missing answer, is only logged.  So a type
in use is served at once, while its manager is asked whether it has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.bridge import (
    PoliciesInForce,
    PoliciesRefused,
    VsiManagerUnreachable,
    VsiTypeFaulty,
    VsiTypeFetched,
    VsiTypeNotRestored,
    VsiTypeWithdrawn,
)
from ryu_apps.evb.events.effect import FetchType, Save
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.change import forbidden_changes
from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.policy.model import PolicySet, VsiType
from ryu_apps.evb.policy.offer import FetchedDocument, HttpSource, Invalid, NotFound, NotModified, Offer, Unreachable
from ryu_apps.evb.record_kinds import VSI_TYPE
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.vsi.admission import UNKNOWN_TYPE, Refusal
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.records.attachment import RecordError
from ryu_apps.evb.vsi.records.keeper import RecordChanges
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.vsi_types.cache import Cached, TypeCache, read_record
from ryu_apps.evb.vsi_types.managers import Here, VsiManagers
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpError

#: Origins of types: a URL, or one of these.
LOCAL, REFUSED = "", "refused"
#: The part of the resource wait delay in which a manager has to answer.
SHARE = 0.5
#: Fetches at a time: stations name the types, and they can name many.
MAX_FETCHES = 256
#: Outcomes of a fetch, as counted.
OUTCOMES = ("fetched", "unchanged", "missing", "faulty", "unreachable")
#: Mistakes of one policy that are logged.
MAX_MISTAKES = 20
#: Seconds after its timeout until an answer is not awaited any more: a document that has come is being checked, which
#: takes long for thousands of rules.
CHECKING = 60.0
#: Seconds between two searches for records that are not needed any more.
_TIDY = 10.0
_NOT_SERVED = Refusal(VdpError.UNABLE_TO_CONTACT_VSI_MANAGER, True, "this VSI manager is not served here")


@dataclass(eq=False, slots=True)
class Waiter:
    """A decision that needs a type; ``attempt`` is its number."""

    attachment: Attachment
    attempt: int


@dataclass(eq=False, slots=True)
class PendingFetch:
    """A fetch under way, and the decisions that wait for it."""

    token: int
    source: HttpSource
    key: VsiTypeKey
    waiters: list[Waiter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.source.of(self.key)


class LookupPending(Enum):
    """A lookup that is neither found nor refused yet."""

    WAITING = "the VSI manager is being asked"


class _Task(Enum):
    TIDY = "delete records that are not needed any more"


#: The type; None: there is no such type; or why it cannot be had.
TypeLookup = VsiType | None | Refusal


class Settled(NamedTuple):
    """The type that a decision waited for, or the reason why there is none."""

    waiter: Waiter
    found: TypeLookup


class TypeDatabase:
    """VSI types of all origins.

    Attributes:
        local: those of the local directory.
        managers: sources of types, by Manager ID.
        cache: types fetched from managers.
        fetches: number of fetches, by the manager's URL and the outcome.
    """

    def __init__(
        self, local: PolicySet, managers: VsiManagers, registry: Registry, tokens: TokenTable, effects: EffectSink
    ) -> None:
        self.local = local
        self.managers = managers
        self.cache = TypeCache()
        self.fetches: Counter[tuple[str, str]] = Counter()
        self._registry = registry
        self._tokens = tokens
        self._effects = effects
        self._pending: dict[int, PendingFetch] = {}
        self._by_url: dict[str, PendingFetch] = {}
        self._saving: dict[int, Mapping[str, bytes | None]] = {}
        self._orphans: set[str] = set()
        self._agenda: DeadlineQueue[tuple[PendingFetch, Waiter] | PendingFetch | _Task] = DeadlineQueue()

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return self._agenda.deadline

    # --- the local directory ---
    def load(self, policies: PolicySet) -> None:
        """Replace the policies of the local directory, all or none; managers are asked again as well."""
        if mistakes := self.objections(policies):
            self._effects.put(PoliciesRefused([str(mistake) for mistake in mistakes]))
            return
        self.local = policies
        for cached in self.cache:
            cached.checked = cached.asked = None
        self._effects.put(PoliciesInForce(len(policies.types)))

    def objections(self, policies: PolicySet) -> list[Diagnostic]:
        """Reasons why these policies cannot replace those of the local directory now; empty: they can."""
        return forbidden_changes(self.local, policies, {key for origin, key in self.in_use() if origin == LOCAL})

    # --- origins ---
    def origin(self, manager_id: ManagerId, key: VsiTypeKey) -> str:
        """Return the origin of a manager's type: LOCAL, REFUSED, or a URL."""
        source = self.managers.source(manager_id)
        if isinstance(source, HttpSource):
            return source.of(key)
        return LOCAL if source is Here.LOCAL else REFUSED

    def origin_of(self, vsi_type: VsiType) -> str:
        """Return the origin of a type that is in force."""
        return vsi_type.file if vsi_type.file in self.cache else LOCAL

    def used_by(self, attachment: Attachment) -> Iterator[tuple[str, VsiTypeKey]]:
        """Yield the types that a VSI at a port is granted, requests, or still has rules of."""
        newest, manager_id = attachment.conversation.newest, attachment.conversation.manager_id
        if newest is not None:
            key = VsiTypeKey(newest.type_id, newest.version)
            yield self.origin(manager_id, key), key
        yield from self._held_by(attachment)

    def in_use(self) -> set[tuple[str, VsiTypeKey]]:
        """The types that VSIs are granted, request, or still have rules of."""
        return {used for attachment in self._registry.attachments() for used in self.used_by(attachment)}

    def _held_by(self, attachment: Attachment) -> Iterator[tuple[str, VsiTypeKey]]:
        granted = attachment.conversation.granted.asked
        if attachment.machine.in_force is not None and granted is not None:
            yield granted.origin, granted.key
        programs: Iterable[Installation | None] = (attachment.vsi.gate_program, *attachment.holding.programs)
        for program in programs:
            if program is not None:
                yield self.origin_of(program.vsi_type), program.vsi_type.key

    def _in_force(self) -> set[str]:
        """Origins of types that may not change; a type that is only requested may."""
        return {origin for attachment in self._registry.attachments() for origin, _ in self._held_by(attachment)}

    # --- requests ---
    def ask(self, attachment: Attachment, now: float) -> TypeLookup | LookupPending:
        """The type that the newest request of a VSI names; if that is pending, :class:`Settled` follows."""
        asked = attachment.conversation.newest
        assert asked is not None
        key = VsiTypeKey(asked.type_id, asked.version)
        match self.managers.source(attachment.conversation.manager_id):
            case Here.LOCAL:
                return self.local.types.get(key)
            case Here.REFUSED:
                return _NOT_SERVED
            case HttpSource() as source:
                return self._remote(source, key, attachment, now)

    def at_hand(self, attachment: Attachment) -> VsiType | None:
        """The type that the newest request of a VSI names, of the local directory; None: it may have to be fetched."""
        asked, manager_id = attachment.conversation.newest, attachment.conversation.manager_id
        if asked is None or self.managers.source(manager_id) is not Here.LOCAL:
            return None
        return self.local.types.get(VsiTypeKey(asked.type_id, asked.version))

    def permanent_refusal(self, manager_id: ManagerId, asked: Association) -> Refusal | None:
        """Return the refusal that every request for this type gets; None: it may be granted."""
        match self.managers.source(manager_id):
            case Here.REFUSED:
                return _NOT_SERVED
            case Here.LOCAL if VsiTypeKey(asked.type_id, asked.version) not in self.local.types:
                return UNKNOWN_TYPE
        return None

    def _remote(
        self, source: HttpSource, key: VsiTypeKey, attachment: Attachment, now: float
    ) -> TypeLookup | LookupPending:
        cached = self.cache.get(source.of(key))
        if cached is not None and not cached.due(now):
            return cached.vsi_type
        fetch = self._fetch(source, key, cached, now)
        if cached is not None and (fetch is None or cached.url in self._in_force()):
            return cached.vsi_type
        if fetch is None:
            return Refusal(VdpError.INSUFFICIENT_RESOURCES, False, f"{MAX_FETCHES} VSI types are being fetched already")
        waiter = Waiter(attachment, attachment.machine.attempt)
        fetch.waiters.append(waiter)
        max_wait = SHARE * attachment.machine.operational.resource_wait_delay
        self._agenda.set((fetch, waiter), now + max_wait)
        return LookupPending.WAITING

    def _fetch(self, source: HttpSource, key: VsiTypeKey, cached: Cached | None, now: float) -> PendingFetch | None:
        """The fetch of a type that is under way, a new one if needed; None: there are too many."""
        fetch = self._by_url.get(source.of(key))
        if fetch is None and len(self._pending) < MAX_FETCHES:
            fetch = PendingFetch(self._tokens.take(), source, key)
            self._pending[fetch.token] = self._by_url[fetch.url] = fetch
            self._agenda.set(fetch, now + source.timeout + CHECKING)
            self._effects.put(FetchType(fetch.token, source, key, cached.validators if cached else None))
        return fetch

    # --- answers ---
    def fetched(self, token: int, offer: Offer, now: float) -> list[Settled]:
        """Process a manager's answer, or its absence; one that is not awaited any more is ignored."""
        fetch = self._pending.pop(token, None)
        if fetch is None:
            return []
        del self._by_url[fetch.url]
        self._agenda.set(fetch, None)
        found = self._evaluate(fetch, offer, now)
        for waiter in fetch.waiters:
            self._agenda.set((fetch, waiter), None)
        return [Settled(waiter, found) for waiter in fetch.waiters]

    def tick(self, now: float) -> list[Settled]:
        """Serve the deadlines that have passed."""
        settled: list[Settled] = []
        for item in list(self._agenda.due(now)):
            match item:
                case PendingFetch():
                    settled += self.fetched(item.token, Unreachable("no answer"), now)
                case _Task():
                    self._tidy(now)
                case (fetch, waiter) if waiter in fetch.waiters:
                    fetch.waiters.remove(waiter)
                    settled.append(Settled(waiter, self._timed_out(fetch)))
        return settled

    def _timed_out(self, fetch: PendingFetch) -> TypeLookup:
        """The type or refusal for a request that can wait no longer."""
        cached = self.cache.get(fetch.url)
        return cached.vsi_type if cached is not None else _out_of_reach(f"{fetch.url}: no answer in time")

    def _evaluate(self, fetch: PendingFetch, offer: Offer, now: float) -> TypeLookup:
        cached = self.cache.get(fetch.url)
        match offer:
            case FetchedDocument():
                return self._offered(fetch, offer, cached, now)
            case NotModified() if cached is not None:
                cached.validated(fetch.source, now)
                self._count(fetch, "unchanged")
                return cached.vsi_type
            case NotFound():
                self._count(fetch, "missing")
                return self._withdrawn(fetch, cached, "the VSI manager does not have it any more", None, now)
            case Invalid(mistakes):
                self._count(fetch, "faulty")
                self._effects.put(VsiTypeFaulty(fetch.key, fetch.url, _some(mistakes)))
                refusal = Refusal(VdpError.OTHER_FAILURE, False, str(mistakes[0]))
                return self._withdrawn(fetch, cached, "the VSI manager's present version is faulty", refusal, now)
            case Unreachable(reason):
                return self._unreachable(fetch, cached, reason, now)
            case NotModified():
                return self._unreachable(
                    fetch, None, "it answers that nothing has changed, but the request had no condition", now
                )

    def _offered(self, fetch: PendingFetch, offer: FetchedDocument, cached: Cached | None, now: float) -> TypeLookup:
        self._count(fetch, "fetched")
        in_force = self._in_force()
        if cached is not None and cached.url in in_force:
            if cached.vsi_type.digest != offer.vsi_type.digest:
                change = "it is in use and cannot be changed in place: give it a new version"
                return self._withdrawn(fetch, cached, change, None, now)
            # Programs go on using the same object, even if comments in the document have changed.
            cached.validators = offer.validators
            cached.validated(fetch.source, now)
            return cached.vsi_type
        fresh = Cached(fetch.url, offer.vsi_type, offer.validators)
        fresh.validated(fetch.source, now)
        if not self.cache.put(fresh, in_force | self._by_url.keys()):
            return Refusal(VdpError.INSUFFICIENT_RESOURCES, False, "no room for another VSI type")
        if cached is not None and cached.stored:
            self._orphans.add(VSI_TYPE.key(cached.url))
        self._effects.put(VsiTypeFetched(fetch.key, fetch.url))
        return fresh.vsi_type

    def _withdrawn(
        self, fetch: PendingFetch, cached: Cached | None, change: str, instead: Refusal | None, now: float
    ) -> TypeLookup:
        """Handle a type that its manager has withdrawn or changed; a type that VSIs use stays in force."""
        if cached is None:
            return instead
        if cached.url not in self._in_force():
            self._forget(cached)
            return instead
        cached.validated(fetch.source, now, refused=change)
        self._effects.put(VsiTypeWithdrawn(fetch.key, fetch.url, change))
        return cached.vsi_type

    def _unreachable(self, fetch: PendingFetch, cached: Cached | None, reason: str, now: float) -> TypeLookup:
        self._count(fetch, "unreachable")
        self._effects.put(VsiManagerUnreachable(fetch.key, fetch.url, reason, stale=cached is not None))
        if cached is None:
            return _out_of_reach(f"{fetch.url}: {reason}")
        cached.asked = now
        return cached.vsi_type

    def _count(self, fetch: PendingFetch, outcome: str) -> None:
        self.fetches[fetch.source.url, outcome] += 1

    # --- records that must survive a restart of the controller ---
    def documents(self, attachment: Attachment) -> RecordChanges:
        """Records of types that the record of a VSI refers to and that the store does not have yet."""
        if not self.cache:
            return {}
        origins = dict.fromkeys(origin for origin, _ in self.used_by(attachment))
        known = [cached for origin in origins if (cached := self.cache.get(origin)) is not None]
        return {VSI_TYPE.key(cached.url): cached.record() for cached in known if not cached.stored}

    def saving(self, save: Save) -> None:
        """Note the records of types among the changes that the store is writing."""
        if ours := {key: value for key, value in save.changes.items() if key.startswith(VSI_TYPE.prefix)}:
            self._saving[save.token] = ours

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the confirmation or failure of a change of the store."""
        for key, value in self._saving.pop(token, {}).items():
            cached = self.cache.get(VSI_TYPE.subject_of(key))
            if value is not None and failure is None and cached is not None and cached.record() == value:
                cached.stored = True
            elif (value is None) is (failure is not None):
                # A deletion has failed, or a record was written that is not needed any more.
                self._orphans.add(key)
            self._agenda.set(_Task.TIDY, now + _TIDY)

    def restore(self, records: Mapping[str, bytes], now: float) -> None:
        """Restore the types from their records; logs each record that cannot be used."""
        for key, data in sorted(records.items()):
            try:
                self.cache.restore(read_record(data))
            except RecordError as error:
                self._orphans.add(key)
                self._effects.put(VsiTypeNotRestored(key, str(error)))
            self._agenda.set(_Task.TIDY, now + _TIDY)

    def recall(self, key: VsiTypeKey, digest: str) -> VsiType | None:
        """Find a type that was in force before the controller was restarted, of any origin."""
        known = (self.local.types.get(key), *(cached.vsi_type for cached in self.cache))
        return next(
            (
                vsi_type
                for vsi_type in known
                if vsi_type is not None and (vsi_type.key, vsi_type.digest) == (key, digest)
            ),
            None,
        )

    def _tidy(self, now: float) -> None:
        in_use = {origin for origin, _ in self.in_use()}
        for cached in self.cache:
            if cached.stored and cached.url not in in_use:
                cached.stored = False
                self._orphans.add(VSI_TYPE.key(cached.url))
        self._orphans -= {VSI_TYPE.key(cached.url) for cached in self.cache if cached.stored}
        under_way = {key for save in self._saving.values() for key, value in save.items() if value is not None}
        if orphans := self._orphans - under_way:
            self._delete(orphans)
        self._orphans &= under_way
        if self._orphans or any(cached.stored for cached in self.cache):
            self._agenda.set(_Task.TIDY, now + _TIDY)

    def _forget(self, cached: Cached) -> None:
        self.cache.drop(cached.url)
        if cached.stored:
            self._delete({VSI_TYPE.key(cached.url)})

    def _delete(self, keys: Iterable[str]) -> None:
        self._effects.put(Save(self._tokens.take(), dict.fromkeys(keys)))


def _some(mistakes: tuple[Diagnostic, ...]) -> list[str]:
    """Text of the first mistakes, and the number of further ones."""
    left = len(mistakes) - MAX_MISTAKES
    return [*map(str, mistakes[:MAX_MISTAKES]), *([f"and {left} more"] if left > 0 else [])]


def _out_of_reach(reason: str) -> Refusal:
    return Refusal(VdpError.UNABLE_TO_CONTACT_VSI_MANAGER, False, reason)
