"""Ryu app: the bridge side of EVB on every connected Open vSwitch.

A shim.  What switches say becomes events for the engine, what the engine wants becomes messages for
switches, and one green thread wakes the engine when a deadline has come.  Decides nothing.

    EVBRIDGE_CONFIG=evbridge.yaml ryu-manager ryu_apps.evb_bridge ryu_apps.evb_rest
"""

from __future__ import annotations

import random
import signal
import time
from collections import deque
from collections.abc import Iterable

from eventlet import tpool
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
from ryu_apps.evb.policy.offer import FetchedDocument
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.store import Store, StoreError
from ryu_apps.evb.switches.recovery import UNKNOWN
from ryu_apps.evb.vsi.bodies import compiled
from ryu_apps.event_log import EventLog
from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.metrics import Metrics
from ryu_apps.process.heap import freeze_gc
from ryu_apps.process.interrupts import ENDING, end_at_once
from ryu_apps.process.signals import end_upon, on_signals
from ryu_apps.process.supervisor import Supervisor
from ryu_apps.process.waiting import Watch
from ryu_apps.settings import BridgeSettings, SettingsError, load_policy_set, load_settings
from ryu_apps.southbound.session import OFP_VERSION, Southbound
from ryu_apps.stores.opening import open_store
from ryu_apps.vsi_manager_client import VsiManagerClient

#: Log lines that are written before others have a turn.
_LINES = 50
#: Seconds to wait after a deadline that could not be served, lest it be tried all the time.
_AFTER_A_BUG = 0.1


#: Seconds by which a deadline is served so late that what it waits for may have arrived and not been read, and for
#: which to read then: of what no VSI depends on, such as an acknowledgement, a repetition too many does no harm.
_LATE, _GLANCE = 0.005, 0.05


def _due(deadline: float | None, late: float = 0.0) -> bool:
    return deadline is not None and deadline + late <= time.monotonic()


def _settings() -> BridgeSettings:
    """What the operator configured; mistakes end the program with their lines, and without a traceback."""
    try:
        return load_settings()
    except SettingsError as error:
        raise SystemExit(f"evbridge cannot start:\n{error}") from None


def _state(settings: BridgeSettings) -> tuple[Store, dict[str, bytes]]:
    """The store and what it holds; what is wrong with it ends the program with one line that says what to do."""
    try:
        store = open_store(settings.state_dir, UNKNOWN)
        return store, {key: one.value for key, one in store.snapshot().items()}
    except StoreError as error:
        raise SystemExit(f"evbridge cannot start: {error}") from None


class EvbBridge(app_manager.RyuApp):
    """The bridge.

    Attributes:
        settings: what the operator configured.
        engine: the pure core.
        queries: the questions that REST and metrics put to it.
        store: what outlives this process.
        started: when it began, monotonic seconds.
        wall_offset: what to add to monotonic time to get Unix time, in seconds.
        rest_names: host names under which it may be asked besides its addresses.
        alarms: what an operator should do something about.
        metrics: counters for Prometheus.
        journal: what happened, newest last.
    """

    OFP_VERSIONS = [OFP_VERSION]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.name = "evb_bridge"
        # Until it runs: a KeyboardInterrupt that meets a green thread of another app's is lost.
        end_at_once(*ENDING)
        self.settings = settings = _settings()
        self.started = time.monotonic()
        self.wall_offset = time.time() - self.started
        self.rest_names = settings.config.rest_names
        self.store, records = _state(settings)
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
        )
        self._fetcher = VsiManagerClient(settings.path.parent)
        self.alarms = Alarms()
        self.queries = BridgeQueries(self.engine)
        self.metrics = Metrics(self.queries, self.alarms)
        self.journal = EventLog(self.logger)
        switches = settings.config.fabric.switches
        DESCRIPTORS.prepare(len(switches), self._report)
        self.southbound = Southbound(
            self.deliver,
            switches.__contains__,
            self._report,
            self.engine.is_busy,
            short_cut=settings.config.openflow_reader != "ryu",
        )
        self._inbox: deque[Event] = deque()
        self._untold: deque[tuple[float, LogEvent]] = deque()
        self._feeding = False
        self._watch = Watch()
        self._supervisor = Supervisor()

    def start(self) -> None:
        """Ryu calls this once all apps are loaded."""
        super().start()
        freeze_gc()
        for dpid in self.engine.fabric.switches:
            self._tell(SwitchAwaited(dpid), time.monotonic())
        self.threads.append(hub.spawn(self._watch_the_clock))
        on_signals({signal.SIGHUP: self.reload, **end_upon(signal.SIGINT, signal.SIGTERM)})

    def stop(self) -> None:
        """Ryu calls this when the program ends."""
        self._supervisor.tell("STOPPING=1")
        self.is_active = False
        self._watch.ring()
        super().stop()

    def close(self) -> None:
        """Ryu calls this last."""
        while self._untold:
            now, happened = self._untold.popleft()
            self._tell(happened, now)
        self.store.close()

    def reload(self) -> list[str]:
        """Read the policies again and put them in force, whole or not at all.

        Returns:
            Why not, one line a mistake with its file and place; empty: they are in force.
        """
        settings = self.settings
        try:
            # In a thread of the system's: ten thousand rules take seconds, and stations do not wait.
            policies = tpool.execute(load_policy_set, settings.path.parent, settings.config.policies)
        except SettingsError as error:
            mistakes = [str(one) for one in error.diagnostics]
            self._tell(PoliciesRefused(mistakes), time.monotonic())
            return mistakes
        epochs = self.engine.epochs
        epochs.adopt(tpool.execute(compiled, epochs.missing(policies.types.values())))
        mistakes = [str(one) for one in self.engine.types.objections(policies)]
        self.deliver(PoliciesLoaded(policies))
        return mistakes

    def deliver(self, event: Event) -> None:
        """Feed the engine and do what it wants; events that this causes wait their turn."""
        self._inbox.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._inbox:
                self._feed(self._inbox.popleft())
        finally:
            self._feeding = False
        self._watch.ring()

    def _feed(self, event: Event) -> None:
        now = time.monotonic()
        told: list[LogEvent] = []
        for effect in self.engine.feed(event, now):
            self._perform(effect, told)
        # Told by the clock's green thread, when what had to be sent is sent: nobody waits for a log line.
        self._untold.extend((now, happened) for happened in told)

    def _tell(self, happened: LogEvent, now: float) -> None:
        self._record([happened, *self.alarms.observe(happened, now)], now)

    def _record(self, told: Iterable[LogEvent], now: float) -> None:
        for happened in told:
            self.journal.write(happened, now)
            self.metrics.observe(happened, now)

    def _report(self, happened: LogEvent) -> None:
        """Record an event that the engine does not cause."""
        self._untold.append((time.monotonic(), happened))
        self._watch.ring()

    def _perform(self, effect: Effect, told: list[LogEvent]) -> None:
        if isinstance(effect, LogEvent):
            told.append(effect)
        elif isinstance(effect, Save):
            self._save(effect)
        elif isinstance(effect, FetchType):
            hub.spawn(self._fetch, effect)
        else:
            self.southbound.perform(effect)

    def _save(self, save: Save) -> None:
        try:
            self.store.commit(save.changes)
        except StoreError as error:
            self._inbox.append(NotSaved(save.token, str(error)))
        else:
            self._inbox.append(Saved(save.token))

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
            # A bug of ours in one VSI's timer must not stop the clock of all others.
            self.logger.exception("while serving a deadline")
            hub.sleep(_AFTER_A_BUG)

    def _deadline(self) -> float | None:
        return earliest(self.engine.deadline, self.alarms.deadline, self.journal.deadline)

    def _watch_the_clock(self) -> None:
        self._supervisor.tell("READY=1")
        while self.is_active:
            self._supervisor.alive(time.monotonic())
            for _ in range(min(len(self._untold), _LINES)):
                now, happened = self._untold.popleft()
                self._tell(happened, now)
            missed = self._watch.wait(0.0 if self._untold else self._deadline())
            now = time.monotonic()
            self._record(self.alarms.tick(now), now)
            self.journal.tick(now)
            if missed:
                self.deliver(Missed(missed))
            # What a station has said in time counts, although it has not been read in time.
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
