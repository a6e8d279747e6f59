"""Answers of the store, and its recovery after a failure."""

from __future__ import annotations

from ryu_apps.evb.bridge.chores import Agenda, Chore
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.bridge import StoreFailed, StoreWorks
from ryu_apps.evb.events.effect import Save
from ryu_apps.evb.record_kinds import PROBE
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi_types.database import TypeDatabase

#: Seconds after which a store that has failed is tried again.
_RETRY = 5.0
#: What is written to see if the store works again: a page, since a full disk may take a few octets, or a deletion.
_PROBE_RECORD = bytes(4096)


class StoreEvents(TokenOwner):
    """The store, as its answers show it."""

    def __init__(
        self,
        types: TypeDatabase,
        lifecycle: Lifecycle,
        requests: Associations,
        tokens: TokenTable,
        effects: EffectSink,
        agenda: Agenda,
    ) -> None:
        self._types = types
        self._lifecycle = lifecycle
        self._requests = requests
        self._tokens = tokens
        self._effects = effects
        self._agenda = agenda
        self._failed = False
        self._probe: int | None = None

    def ended(self, token: int, failure: str | None, now: float) -> None:
        """Process the end of a writing, but for :meth:`Associations.proceed`; ``failure`` None: the store holds it."""
        if failure is not None:
            self._failed = True
            self._effects.put(StoreFailed(failure))
        # Records of types are written with those of the VSIs that use them, by the owners of these.
        self._types.saved(token, failure, now)
        self._tokens.saved(token, failure, now)
        if failure is not None:
            self._agenda.set((Chore.STORE, 0), now + _RETRY)

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Note that the store works again."""
        if failure is None and self._failed and token == self._probe:
            self._failed = False
            self._effects.put(StoreWorks())
            self._effects.put(Save(self._tokens.take(), {PROBE.key(): None}))

    def try_again(self, now: float) -> None:
        """Repeat what the store has failed to do; probe it, even if nothing else is to be written."""
        self._lifecycle.grants.write_again(self._lifecycle.gates.of)
        self._requests.proceed(now)
        self._requests.save_again()
        if self._failed:
            self._probe = self._tokens.take(self)
            self._effects.put(Save(self._probe, {PROBE.key(): _PROBE_RECORD}))
