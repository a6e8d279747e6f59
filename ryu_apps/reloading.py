"""Operator's files read again while the bridge runs: policies, or evbridge.yaml with them; whole or not at all.

Policies go into the engine that runs.  Another configuration gets another engine, which goes on from the records as
after a restart, only that neither the process nor its connections end: gates and bodies stay in the switches, and what
differs is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from eventlet import tpool
from eventlet.semaphore import Semaphore
from ryu.lib import hub

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.config.changes import RefusedChanges
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import ConfigurationInForce, ConfigurationRefused, PoliciesRefused
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import PoliciesLoaded
from ryu_apps.evb.generation import Life
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.store import Store, StoreError
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.bodies import compiled
from ryu_apps.evb.vsi.records.keeper import record_key
from ryu_apps.process.heap import collect, uncollected
from ryu_apps.settings import BridgeSettings, ReadConfig, SettingsError, load_policy_set, read_config
from ryu_apps.starting import build_engine

#: Seconds to wait for a moment in which no answer is outstanding, and between two looks.
_PATIENCE, _NAP = 10.0, 0.005

Mistakes = list[str]


class ReloadableBridge(Protocol):
    """The bridge, as far as a reload reads and changes it.

    Attributes:
        settings: in force.
        engine: in force.
        store: its records.
        life: of the engine.
        owes: answers of the store that are not there yet.
    """

    settings: BridgeSettings

    @property
    def engine(self) -> Engine: ...
    @property
    def store(self) -> Store: ...
    @property
    def life(self) -> Life: ...
    @property
    def owes(self) -> int: ...

    def deliver(self, event: Event) -> None:
        """Feed the engine."""

    def report(self, happened: LogEvent) -> None:
        """Record an event that the engine does not cause."""

    def go_on_with(self, settings: BridgeSettings, engine: Engine) -> None:
        """Exchange settings and engine."""


class Reloader:
    """One reload after the other.

    Args:
        bridge: that runs.
        clock: monotonic seconds.
    """

    def __init__(self, bridge: ReloadableBridge, clock: Callable[[], float] = time.monotonic) -> None:
        self._bridge = bridge
        self._clock = clock
        self._lock = Semaphore()
        self._has_left = False

    def policies(self) -> Mistakes:
        """Read the policies again.

        Returns:
            One line for each mistake, with its file and place; empty: the policies are in force.
        """
        with self._lock:
            return self._policies()

    def configuration(self) -> Mistakes:
        """Read evbridge.yaml again, and the policies that it names.

        Returns:
            One line for each mistake, with its file and place; empty: both are in force.
        """
        with self._lock:
            try:
                read = read_config(self._bridge.settings.path)
                if read.config == self._bridge.settings.config:
                    self._in_force(read)
                    return self._policies()
                return self._change(read)
            except SettingsError as refused:
                return self._refuse(refused.diagnostics)

    # --- policies ---
    def _policies(self) -> Mistakes:
        bridge = self._bridge
        policies = self._load(bridge.settings.config.policies)
        if isinstance(policies, list):
            return policies
        mistakes = [str(objection) for objection in bridge.engine.types.objections(policies)]
        bridge.deliver(PoliciesLoaded(policies))
        if not mistakes:
            tpool.execute(bridge.settings.cache.keep, policies.types.values())
        return mistakes

    def _load(self, places: tuple[str, ...]) -> PolicySet | Mistakes:
        """Read and compile, in threads of the operating system: long policies take seconds, and stations wait."""
        bridge = self._bridge
        settings, in_force, epochs = bridge.settings, bridge.engine.policies, bridge.engine.epochs
        try:
            with uncollected():
                policies = tpool.execute(load_policy_set, settings.path.parent, places, settings.cache, in_force)
        except SettingsError as refused:
            mistakes = [str(diagnostic) for diagnostic in refused.diagnostics]
            bridge.report(PoliciesRefused(mistakes))
            return mistakes
        epochs.adopt(tpool.execute(compiled, epochs.missing(policies.types.values())))
        return policies

    # --- evbridge.yaml ---
    def _change(self, read: ReadConfig) -> Mistakes:
        bridge = self._bridge
        changes = RefusedChanges(bridge.settings.config, read.file, read.text, read.config)
        if refused := changes.of_the_process():
            return self._refuse(refused)
        policies = self._load(read.config.policies)
        if isinstance(policies, list):
            return policies
        if objections := list(bridge.engine.types.objections(policies)):
            return self._refuse(objections)
        settings = replace(bridge.settings, config=read.config, policies=policies)
        if mistakes := self._exchange(settings, changes):
            return mistakes
        self._in_force(read)
        tpool.execute(settings.cache.keep, policies.types.values())
        return []

    def _exchange(self, settings: BridgeSettings, changes: RefusedChanges) -> Mistakes:
        """Build an engine from the records and put it in place, unless VSIs have changed meanwhile: then once more."""
        deadline = self._clock() + _PATIENCE
        while self._clock() < deadline:
            if not self._settled():
                hub.sleep(_NAP)
                continue
            before, records = self._bridge.engine, self._records()
            attached = list(before.registry.attachments())
            if refused := changes.in_use((at.port, at.vsi_port) for at in attached):
                return self._refuse(refused)
            made = self._build(settings, records)
            if self._bridge.engine is not before or not self._settled() or self._records() != records:
                continue
            if refused := changes.lost(_lost(before, made)):
                return self._refuse(refused)
            self._bridge.go_on_with(settings, made)
            return []
        reason = f"switches, store or stations owe answers for more than {_PATIENCE:g} s; try again"
        return self._refuse([error(str(settings.path), Position(), reason)])

    def _settled(self) -> bool:
        bridge = self._bridge
        return bridge.owes == 0 and (bridge.engine.fencing.standby or bridge.engine.is_settled)

    def _records(self) -> Mapping[str, bytes]:
        """The records that a next life would begin with; none for a standby, whose engine has none."""
        if self._bridge.engine.fencing.standby:
            return {}
        try:
            return {key: record.value for key, record in self._bridge.store.snapshot().items()}
        except StoreError as failed:
            raise SettingsError([error(str(self._bridge.settings.path), Position(), str(failed))]) from None

    def _build(self, settings: BridgeSettings, records: Mapping[str, bytes]) -> Engine:
        before, life = self._bridge.engine, self._bridge.life
        if not before.fencing.standby:
            # The generation that switches know, which may be newer than that of the beginning.
            life = Life(before.fencing.generation, True, {})
        if self._has_left:
            # Before another engine is set aside: an engine that is left consists of cycles, 10 KB for each VSI.
            collect()
        # Either this engine is in vain, or the one before it is left.
        self._has_left = True
        with uncollected():
            return tpool.execute(
                build_engine,
                settings.config,
                settings.policies,
                records,
                life,
                self._clock(),
                before.epochs.compiled,
            )

    def _in_force(self, read: ReadConfig) -> None:
        fabric = read.config.fabric
        ports = sum(len(switch.interfaces) for switch in fabric.switches.values())
        self._bridge.report(ConfigurationInForce(len(fabric.switches), ports))

    def _refuse(self, diagnostics: list[Diagnostic]) -> Mistakes:
        mistakes = [str(diagnostic) for diagnostic in diagnostics]
        self._bridge.report(ConfigurationRefused(mistakes))
        return mistakes


def _lost(before: Engine, after: Engine) -> Iterator[tuple[PortId, str, str]]:
    """Yield port, name and reason of each VSI that an engine has and the next one has not."""
    for attachment in before.registry.attachments():
        if not after.registry.is_at(attachment.port, attachment.vsi.vsi_id):
            reason = after.not_restored.get(record_key(attachment), "it has no record")
            yield attachment.port, attachment.text, reason
