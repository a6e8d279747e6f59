"""The engine that a standby keeps ready: it follows the records of the store, and leads later."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.restart import FOUNDATIONS
from ryu_apps.evb.config import BridgeConfig
from ryu_apps.evb.generation import Life
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.record_kinds import ATTACHMENT, by_kind
from ryu_apps.evb.vsi.bodies import CompiledTypes
from ryu_apps.process.heap import collect

Records = Mapping[str, bytes]
#: Makes an engine that follows, from the records that attachments depend on.
Make = Callable[[BridgeConfig, PolicySet, Records, CompiledTypes], Engine]


class StandbyEngine:
    """An engine that has the VSIs of the leader, and serves no switch.

    Its methods take as long as the changed records are many, and may be called in any thread, one at a time.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._engine: Engine | None = None
        self._made_from: tuple[BridgeConfig, PolicySet, dict[str, bytes]] | None = None
        self._known: Records = {}

    @property
    def engine(self) -> Engine | None:
        """The engine as it is now; None: the next call makes one."""
        return self._engine

    def follow(self, config: BridgeConfig, policies: PolicySet, ready: CompiledTypes, records: Records) -> Engine:
        """Bring the engine up to date; a new one takes its place if what all VSIs depend on has changed.

        Args:
            ready: VSI types that are compiled.
            records: all of the store.
        """
        if not self._is_made_from(config, policies, _foundations(records)):
            # Before another engine is set aside: what the last one leaves are cycles, 10 KB for each VSI.
            self.forget()
            collect()
        return self._follow(config, policies, ready, records)

    def _follow(self, config: BridgeConfig, policies: PolicySet, ready: CompiledTypes, records: Records) -> Engine:
        kinds, foundations = by_kind(records), _foundations(records)
        if self._engine is None or not self._is_made_from(config, policies, foundations):
            self.forget()
            self._engine = self._make(config, policies, foundations, ready)
            self._made_from = config, policies, foundations
        # Without it until it is up to date: one that has failed half-way is of no use.
        engine, self._engine = self._engine, None
        before, now = self._known, kinds[ATTACHMENT]
        changed = {key: record for key, record in now.items() if before.get(key) != record}
        engine.follow(changed | dict.fromkeys(before.keys() - now.keys()))
        self._engine, self._known = engine, now
        return engine

    def lead(
        self,
        config: BridgeConfig,
        policies: PolicySet,
        ready: CompiledTypes,
        records: Records,
        life: Life,
        now: float,
    ) -> Engine:
        """Return the engine, up to date and ready to lead; the next call begins with another one.

        Args:
            now: monotonic seconds.
        """
        engine = self._follow(config, policies, ready, records)
        self.forget()
        engine.lead(records, life, now)
        return engine

    def forget(self) -> None:
        """Begin anew with the next call."""
        self._engine, self._made_from, self._known = None, None, {}

    def _is_made_from(self, config: BridgeConfig, policies: PolicySet, foundations: dict[str, bytes]) -> bool:
        made_from = self._made_from
        return (
            made_from is not None
            and made_from[0] is config
            and made_from[1] is policies
            and made_from[2] == foundations
        )


def _foundations(records: Records) -> dict[str, bytes]:
    """Return the records that all VSIs depend on."""
    kinds = by_kind(records)
    return {key: record for kind in FOUNDATIONS for key, record in kinds[kind].items()}
