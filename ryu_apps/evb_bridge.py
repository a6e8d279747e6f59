"""Ryu app: the bridge side of EVB on every connected Open vSwitch.

An adapter: messages of switches become events for the engine, effects of the engine become messages to switches, and
one green thread feeds the engine when a deadline has come.  It decides nothing.

    EVBRIDGE_CONFIG=evbridge.yaml ryu-manager ryu_apps.evb_bridge ryu_apps.evb_rest
"""

from __future__ import annotations

import random
import signal
import time
from collections import deque
from functools import partial

from eventlet import tpool
from eventlet.semaphore import Semaphore
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub

from ryu_apps import compat  # noqa: F401 - first of ours: Ryu on a current eventlet
from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import PoliciesRefused
from ryu_apps.evb.event_catalogue.switches import SwitchAwaited
from ryu_apps.evb.events import (
    Effect,
    Event,
    FetchType,
    Missed,
    NotSaved,
    PoliciesLoaded,
    Save,
    Saved,
    TimerExpired,
    TypeFetched,
)
from ryu_apps.evb.generation import Life
from ryu_apps.evb.policy.offer import FetchedDocument
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.store import Store, StoreError
from ryu_apps.evb.switches.recovery import UNKNOWN
from ryu_apps.evb.vsi.bodies import compiled
from ryu_apps.event_log import EventLog
from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.metrics import Metrics
from ryu_apps.observers import Observers
from ryu_apps.process.heap import freeze_gc, uncollected
from ryu_apps.process.interrupts import ENDING, end_at_once
from ryu_apps.process.signals import end_upon, on_signals
from ryu_apps.process.supervisor import Supervisor
from ryu_apps.process.turns import short_turns
from ryu_apps.process.waiting import Watch
from ryu_apps.settings import BridgeSettings, SettingsError, load_policy_set, load_settings
from ryu_apps.southbound.session import OFP_VERSION, Southbound
from ryu_apps.stores.generations import begun
from ryu_apps.stores.opening import open_shared, open_store
from ryu_apps.vsi_manager_client import VsiManagerClient

#: Seconds to wait after a deadline that could not be served, so that the retries leave time for other work.
_AFTER_A_BUG = 0.1
#: Seconds of delay from which on the frame that a deadline waits for may have arrived unread, and the seconds to spend
#: on reading then.  These deadlines end no VSI (the ECP acknowledgement, say), so one repetition too many does no harm.
_LATE, _GLANCE = 0.005, 0.05


def _due(deadline: float | None, late: float = 0.0) -> bool:
    return deadline is not None and deadline + late <= time.monotonic()


def _settings() -> BridgeSettings:
    """Load the configuration; mistakes end the program with their lines, and without a traceback."""
    try:
        with uncollected():
            return load_settings()
    except SettingsError as error:
        raise SystemExit(f"evbridge cannot start:\n{error}") from None


def _state(settings: BridgeSettings) -> tuple[Store, dict[str, bytes], Life]:
    """Open the store, begin a life and read it; an unusable store ends the program with one line of what to do."""
    try:
        if (shared := settings.config.store) is not None:
            store = open_shared(shared.remotes, settings.certificates, UNKNOWN)
        else:
            store = open_store(settings.state_dir, UNKNOWN)
        return store, *begun(store, time.time(), UNKNOWN)
    except StoreError as error:
        raise SystemExit(f"evbridge cannot start: {error}") from None


class EvbBridge(app_manager.RyuApp):
    """The bridge.

    Attributes:
        settings: the configuration.
        engine: the pure core.
        queries: the read access of REST and metrics to the engine.
        store: state that outlives this process.
        started: time of the start, monotonic seconds.
        wall_offset: difference of Unix time and monotonic time, in seconds.
        rest: who may send REST requests.
    """

    OFP_VERSIONS = [OFP_VERSION]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.name = "evb_bridge"
        # Only until the apps run: a KeyboardInterrupt that is raised in a green thread of another app is lost.
        end_at_once(*ENDING)
        short_turns()
        self.settings = settings = _settings()
        self.started = time.monotonic()
        self.wall_offset = time.time() - self.started
        self.rest = settings.config.rest
        self.store, records, life = _state(settings)
        self.engine = Engine(
            settings.config.fabric,
            settings.policies,
            records,
            self.started,
            first_sequence=random.randrange(1, 0x10000),
            snooping=settings.config.multicast,
            statistics_interval=settings.config.statistics_interval,
            statistics_retention=settings.config.statistics_retention,
            managers=settings.config.vsi_managers,
            forward_in_flight=settings.config.forward_in_flight,
            life=life,
        )
        self._fetcher = VsiManagerClient(settings.path.parent)
        self.queries, alarms = BridgeQueries(self.engine), Alarms()
        self._observers = Observers(EventLog(self.logger), Metrics(self.queries, alarms), alarms)
        switches = settings.config.fabric.switches
        DESCRIPTORS.prepare(len(switches), self.report)
        self.southbound = Southbound(
            self.deliver,
            switches.__contains__,
            self.report,
            self.engine.is_busy,
            short_cut=settings.config.openflow_reader != "ryu",
            profile=lambda dpid: switches[dpid].profile,
        )
        self._inbox: deque[Event] = deque()
        self._feeding = False
        self._reloading = Semaphore()
        self._watch = Watch()
        self._supervisor = Supervisor()

    @property
    def alarms(self) -> Alarms:
        """Conditions that need an operator."""
        return self._observers.alarms

    @property
    def metrics(self) -> Metrics:
        """Counters for Prometheus."""
        return self._observers.metrics

    @property
    def journal(self) -> EventLog:
        """Log events, newest last."""
        return self._observers.journal

    def start(self) -> None:
        """Start the clock; Ryu calls this when all apps are loaded."""
        super().start()
        freeze_gc()
        for dpid in self.engine.fabric.switches:
            self._observers.note([SwitchAwaited(dpid)], time.monotonic())
        self.threads += [hub.spawn(self._watch_the_clock), hub.spawn(self._prepare)]
        on_signals({signal.SIGHUP: self.reload, **end_upon(signal.SIGINT, signal.SIGTERM)})

    def stop(self) -> None:
        """Stop the clock; Ryu calls this when the program ends."""
        self._supervisor.tell("STOPPING=1")
        self.is_active = False
        self._watch.ring()
        super().stop()

    def close(self) -> None:
        """Write the remaining log lines and close the store; Ryu calls this last."""
        self._observers.tell_all()
        self.store.close()

    def _prepare(self) -> None:
        """Compile the VSI types in advance, so that no station waits for it; keep them for the next start."""
        epochs, types = self.engine.epochs, self.engine.policies.types.values()
        with uncollected():
            for missing in epochs.missing(types):
                epochs.adopt(tpool.execute(compiled, [missing]))
        tpool.execute(self.settings.cache.keep, types)

    def reload(self) -> list[str]:
        """Read the policies again and put them in force, whole or not at all; one such request after the other.

        Returns:
            One line for each mistake, with its file and place; empty: the policies are in force.
        """
        with self._reloading:
            return self._reload()

    def _reload(self) -> list[str]:
        settings, in_force = self.settings, self.engine.policies
        try:
            # In a thread of the operating system: ten thousand rules take seconds, in which stations need answers.
            with uncollected():
                policies = tpool.execute(
                    load_policy_set, settings.path.parent, settings.config.policies, settings.cache, in_force
                )
        except SettingsError as error:
            mistakes = [str(diagnostic) for diagnostic in error.diagnostics]
            self.report(PoliciesRefused(mistakes))
            return mistakes
        epochs = self.engine.epochs
        epochs.adopt(tpool.execute(compiled, epochs.missing(policies.types.values())))
        mistakes = [str(objection) for objection in self.engine.types.objections(policies)]
        self.deliver(PoliciesLoaded(policies))
        if not mistakes:
            tpool.execute(settings.cache.keep, policies.types.values())
        return mistakes

    def deliver(self, event: Event) -> None:
        """Feed the engine and carry out its effects; events that these cause are queued behind this one."""
        self._inbox.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._inbox:
                self._feed(self._inbox.popleft())
        finally:
            self._feeding = False
        self._watch.ring() if self.engine.has_more else self._watch.ring_soon()

    def _feed(self, event: Event) -> None:
        # Before the event, whose timers begin now: after a stop, frames are often read before the clock's thread runs.
        if missed := self._watch.missed():
            self._take(Missed(missed))
        self._take(event)

    def _take(self, event: Event) -> None:
        now = time.monotonic()
        occurred: list[LogEvent] = []
        for effect in self.engine.feed(event, now):
            self._perform(effect, occurred)
        self._observers.note(occurred, now)

    def report(self, happened: LogEvent) -> None:
        """Record an event that the engine does not cause."""
        self._observers.note([happened], time.monotonic())
        self._watch.ring_soon()

    def _perform(self, effect: Effect, occurred: list[LogEvent]) -> None:
        if isinstance(effect, LogEvent):
            occurred.append(effect)
        elif isinstance(effect, Save):
            self._save(effect)
        elif isinstance(effect, FetchType):
            hub.spawn(self._fetch, effect)
        else:
            self.southbound.perform(effect)

    def _save(self, save: Save) -> None:
        self.store.begin(save.changes, partial(self._saved, save.token))

    def _saved(self, token: int, error: StoreError | None) -> None:
        if self.is_active:
            self.deliver(Saved(token) if error is None else NotSaved(token, str(error)))

    def _fetch(self, wanted: FetchType) -> None:
        """Ask a VSI manager, in a green thread of its own."""
        offer = self._fetcher.fetch(wanted)
        if isinstance(offer, FetchedDocument):
            epochs = self.engine.epochs
            epochs.adopt(tpool.execute(compiled, epochs.missing([offer.vsi_type])))
        self.deliver(TypeFetched(wanted.token, offer))

    def _tick(self) -> None:
        try:
            self.deliver(TimerExpired(self.southbound.unread))
        except Exception:
            # A bug in the timer of one VSI must not stop the clock of all others.
            self.logger.exception("while serving a deadline")
            hub.sleep(_AFTER_A_BUG)

    def _deadline(self) -> float | None:
        return earliest(self.engine.deadline, self._observers.deadline)

    def _watch_the_clock(self) -> None:
        self._supervisor.tell("READY=1")
        while self.is_active:
            self._supervisor.alive(time.monotonic())
            missed = self._watch.wait(self._deadline())
            self._observers.tick(time.monotonic())
            if missed:
                self.deliver(Missed(missed))
            # A frame that arrived before its deadline counts, although it was not read before it.
            if missed or _due(self.engine.expiry):
                self.southbound.catch_up()
                self._watch.listened()
            elif _due(self.engine.deadline, _LATE):
                self.southbound.catch_up(_GLANCE)
            if _due(self.engine.deadline):
                self._tick()

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def _state_changed(self, event: ofp_event.EventOFPStateChange) -> None:
        if event.state == MAIN_DISPATCHER:
            self.southbound.datapath_up(event.datapath)
        elif event.datapath.id is not None:
            self.southbound.datapath_down(event.datapath)
