"""Ryu app: the bridge side of EVB on every connected Open vSwitch.

An adapter: messages of switches become events for the engine, effects of the engine become messages to switches, and
one green thread feeds the engine when a deadline has come.  It decides nothing.

    EVBRIDGE_CONFIG=evbridge.yaml ryu-manager ryu_apps.evb_bridge ryu_apps.evb_rest
"""

from __future__ import annotations

import signal
import socket
import time
from collections import deque
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from eventlet import tpool
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub

from ryu_apps import compat  # noqa: F401 - first of ours: Ryu on a current eventlet
from ryu_apps.cluster_member import ClusterMember
from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.followed import FollowedVsis
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.bridge.starting_engine import StartingEngine
from ryu_apps.evb.bridge.vsi_queries import VsiQueries
from ryu_apps.evb.cluster.election import Election
from ryu_apps.evb.cluster.status import ClusterStatus
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.switches import SwitchAwaited
from ryu_apps.evb.events.effect import Effect, FetchType, Save
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import Missed, NotSaved, Saved, TimerExpired, TypeFetched
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.generation import Life
from ryu_apps.evb.policy.offer import FetchedDocument
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.store import StoreError
from ryu_apps.evb.vsi.bodies import compiled
from ryu_apps.event_log import EventLog
from ryu_apps.leader_watch import LeaderWatch
from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.metrics.bridge import Metrics
from ryu_apps.metrics.cluster import ClusterMetrics
from ryu_apps.metrics.pods import PodMetrics
from ryu_apps.observers import Observers
from ryu_apps.pod_client import PodClient
from ryu_apps.pod_link.link import PodEffect, PodLink
from ryu_apps.policy_load import PolicyLoad
from ryu_apps.process.heap import freeze_gc, set_aside, uncollected
from ryu_apps.process.interrupts import ENDING, end_at_once
from ryu_apps.process.signals import end_upon, end_with, on_signals
from ryu_apps.process.supervisor import Supervisor
from ryu_apps.process.turns import short_turns
from ryu_apps.process.waiting import TOLERANCE, Watch
from ryu_apps.reloading import Reloader
from ryu_apps.settings import BridgeSettings, SettingsError
from ryu_apps.southbound.session import OFP_VERSION, Southbound
from ryu_apps.standby import StandbyEngine
from ryu_apps.starting import STANDBY, build_engine, build_follower, refusal, settings_or_exit, state_or_exit
from ryu_apps.stores.opening import open_directory
from ryu_apps.version import VERSION
from ryu_apps.vsi_manager_client import VsiManagerClient

#: Seconds to wait after a deadline that could not be served, so that the retries leave time for other work.
_AFTER_A_BUG = 0.1
#: Seconds of delay from which on the frame that a deadline waits for may have arrived unread, and the seconds to spend
#: on reading then.  These deadlines end no VSI (the ECP acknowledgement, say), so one repetition too many does no harm.
_LATE, _GLANCE = 0.005, 0.05
#: Seconds between two looks at what the directory of pods has lost or not answered.
_POD_TICK = 1.0
#: Seconds between two looks at the records of the leader.
_FOLLOW = 0.5
#: Seconds for which a start waits for its policies, before it listens without them.  Most policies are read by then,
#: and stations and switches meet one engine.
_BEFORE_LISTENING = 0.5
#: Seconds between two looks whether policies have been read.
_SOON = 0.05


def _due(deadline: float | None, late: float = 0.0) -> bool:
    return deadline is not None and deadline + late <= time.monotonic()


class EvbBridge(app_manager.RyuApp):
    """The bridge.

    Attributes:
        settings: the configuration.
        engine: the pure core; of a standby, and while policies are read: one that serves no switch.
        member: this bridge in its cluster; None: it is alone.
        queries: the read access of REST and metrics to the engine.
        store: state that outlives this process.
        started: time of the start, monotonic seconds.
        wall_offset: difference of Unix time and monotonic time, in seconds.
        rest: who may send REST requests.
        life: of the engine.
        owes: answers of the store that are not there yet.
        reloader: reads the operator's files again.
        pods: the link to other pods; None: there are none.
    """

    OFP_VERSIONS = [OFP_VERSION]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.name = "evb_bridge"
        # Only until the apps run: a KeyboardInterrupt that is raised in a green thread of another app is lost.
        end_at_once(*ENDING)
        short_turns()
        self.settings = settings = settings_or_exit()
        self.started = time.monotonic()
        self.wall_offset = time.time() - self.started
        self.rest = settings.config.rest
        self.store, self._records, self.life = state_or_exit(settings)
        self._load: PolicyLoad | None = PolicyLoad(settings)
        self._starting: StartingEngine | None = None
        if self._load.ends_within(_BEFORE_LISTENING):
            self._policies_or_exit()
            self._load = None
            self.engine = self._first_engine(self.started)
        else:
            self.engine = build_engine(settings.config, settings.policies, {}, STANDBY, self.started)
        if self._load is not None and settings.config.cluster is None:
            self._starting = StartingEngine(settings.config.fabric, self._records, self.life)
        self._fetcher = VsiManagerClient(settings.path.parent)
        self.queries, alarms = BridgeQueries(self.engine), Alarms()
        self._observers = Observers(EventLog(self.logger), Metrics(self.queries, alarms), alarms)
        DESCRIPTORS.prepare(len(settings.config.fabric.switches), self.report)
        self.southbound = Southbound(
            self.deliver,
            lambda dpid: dpid in self.settings.config.fabric.switches,
            self.report,
            self.engine.is_busy,
            short_cut=settings.config.openflow_reader != "ryu",
            profile=lambda dpid: self.settings.config.fabric.switches[dpid].profile,
        )
        self._inbox: deque[Event] = deque()
        self.owes = 0
        self._next: Engine | None = None
        self._standby = StandbyEngine(build_follower)
        self._following = hub.Semaphore(1)
        self._feeding = False
        self.reloader = Reloader(self)
        self._watch = Watch(notice=self._observers.metrics.loop_lag.observe)
        self._supervisor = Supervisor()
        self._observers.metrics.starting = self.starting
        self.member = self._member()
        self.pods = self._pod_link()

    def _member(self) -> ClusterMember | None:
        cluster = self.settings.config.cluster
        if cluster is None:
            return None
        election = Election(cluster.name or socket.gethostname(), cluster.address, cluster.patience)
        member = ClusterMember(
            self.store,
            election,
            self._lead,
            self._stand_aside,
            self.report,
            VERSION,
            lambda: self.southbound.connected,
            LeaderWatch(lambda version: member.gone(version)).follow,
        )
        self._observers.metrics.add(ClusterMetrics(member.status))
        return member

    def _pod_link(self) -> PodLink | None:
        pod = self.settings.config.pod
        if pod is None:
            return None
        link = PodLink(
            pod,
            open_directory(pod.directory, pod.name, self.settings.directory_certificates),
            PodClient(self.settings.path.parent),
            hub.spawn,
            self.report,
            lambda: self.queries.pods.active(),
        )
        self._observers.metrics.add(PodMetrics(link.status))
        return link

    def _serve_pod(self) -> None:
        """Have the link to other pods go on with the present engine."""
        if self.pods is not None:
            life = None if self.engine.fencing.standby else self.life.generation
            self.pods.serve(life, partial(self._deliver_to, self.engine))

    def _tick_pod(self, pods: PodLink) -> None:
        while self.is_active:
            pods.tick(time.monotonic())
            hub.sleep(_POD_TICK)

    def cluster(self, now: float) -> ClusterStatus | None:
        """The cluster as this bridge knows it; None: it is alone."""
        if self.member is None:
            return None
        status = self.member.status(now)
        # Who has just begun to lead knows no VSI before its engine is there.
        return replace(status, leads=status.leads and not self.engine.fencing.standby)

    def vsis(self) -> VsiQueries | FollowedVsis:
        """The VSIs; at a standby as the leader of the cluster has saved them."""
        cluster = self.cluster(time.monotonic())
        if cluster is None or cluster.leads:
            return self.queries.vsis
        records = {key: record.value for key, record in self.store.snapshot().items()}
        return FollowedVsis(self.settings.config.fabric, records, self.engine.types.recall)

    def transfer(self, successor: str) -> None:
        """Give the lead of the cluster up, to one member or (empty) to any."""
        if self.member is not None:
            self.member.transfer(successor)

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
        self._main = hub.getcurrent()
        freeze_gc()
        if self.member is None:
            self._await_switches()
        self.threads.append(hub.spawn(self._watch_the_clock))
        self.threads.append(hub.spawn(self._serve_all if self._load is None else self._await_policies))
        self._serve_pod()
        if self.pods is not None:
            self.threads.append(hub.spawn(self._tick_pod, self.pods))
        on_signals({signal.SIGHUP: self._reload, **end_upon(signal.SIGINT, signal.SIGTERM)})

    def _reload(self) -> None:
        """Read the operator's files again, behind a start that still reads them."""
        while self._load is not None:
            hub.sleep(_SOON)
        self._supervisor.reload(self.reloader.configuration)

    @property
    def starting(self) -> bool:
        """True while the policies of the start are being read."""
        return self._load is not None

    def _policies_or_exit(self) -> None:
        """Have the policies that were read; mistakes end the program."""
        assert self._load is not None
        try:
            policies = self._load.result()
        except SettingsError as error:
            raise refusal(error) from None
        self.settings = replace(self.settings, policies=policies)

    def _first_engine(self, now: float) -> Engine:
        """Build the engine that begins with the policies; that of a member of a cluster is a standby."""
        return build_engine(self.settings.config, self.settings.policies, self._records, self.life, now)

    def _await_policies(self) -> None:
        """Begin to serve when the policies are there: stations have heard LLDP, and requests have been kept."""
        self.logger.info("reading policies; until then stations hear LLDP, and no switch is changed")
        self._supervisor.tell("STATUS=reading policies")
        try:
            self._policies_or_exit()
        except SystemExit as refused:
            end_with(refused, self._main)
            return
        begun = time.monotonic()
        with uncollected():
            made = tpool.execute(self._first_engine, begun)
        self._load = None
        self._exchange(made)
        if (late := time.monotonic() - begun) > TOLERANCE:
            self.deliver(Missed(late))
        self._supervisor.tell("STATUS=")
        self._serve_all()

    def _serve_all(self) -> None:
        """Say that it serves, take part in an election, and compile."""
        self._records = {}
        self._supervisor.tell("READY=1")
        if self.member is not None:
            self.member.begin()
        self._prepare()

    @property
    def _serving(self) -> Engine | StartingEngine:
        """The engine that events are for."""
        return self._starting or self.engine

    def _await_switches(self) -> None:
        self._observers.note([SwitchAwaited(dpid) for dpid in self.engine.fabric.switches], time.monotonic())

    def stop(self) -> None:
        """Stop the clock; Ryu calls this when the program ends."""
        self._supervisor.tell("STOPPING=1")
        self.is_active = False
        self._watch.ring()
        super().stop()

    def close(self) -> None:
        """Write the remaining log lines and close the store; Ryu calls this last."""
        if self.member is not None:
            self.member.close()
        if self.pods is not None:
            self.pods.close()
        self._observers.tell_all()
        self.store.close()

    def _prepare(self) -> None:
        """Compile the VSI types in advance, so that no station waits for it; keep them for the next start."""
        epochs, types = self.engine.epochs, self.engine.policies.types.values()
        with uncollected():
            for missing in epochs.missing(types):
                epochs.adopt(tpool.execute(compiled, [missing]))
        tpool.execute(self.settings.cache.keep, types)
        # Not earlier: its engine has the types that are compiled by then.
        while self.member is not None and self.is_active:
            self._follow_leader(self.member)
            hub.sleep(_FOLLOW)

    def _follow_leader(self, member: ClusterMember) -> None:
        """Keep an engine up to date that leads later, as long as another member leads; in a thread, as to build it."""
        if member.leads or not self.engine.fencing.standby:
            return
        try:
            records = {key: record.value for key, record in self.store.snapshot().items()}
        except StoreError:
            return
        with self._following:
            sources = self.settings.config, self.engine.policies, self.engine.epochs.compiled
            try:
                with uncollected() if self._standby.engine is None else nullcontext():
                    tpool.execute(self._standby.follow, *sources, records)
            except Exception:
                # It is built from the records when it is to lead.
                self._standby.forget()
                self.logger.exception("while following the records of the leader")

    def go_on_with(self, settings: BridgeSettings, engine: Engine) -> None:
        """Go on with another configuration and an engine that was built from it; the switches stay as they are."""
        engine.migrations.go_on(self.engine.migrations)
        self.settings = settings
        DESCRIPTORS.prepare(len(settings.config.fabric.switches), self.report)
        self._exchange(engine)

    def deliver(self, event: Event) -> None:
        """Feed the engine and carry out its effects; events that these cause are queued behind this one."""
        self._inbox.append(event)
        if not self._feeding:
            self._go_on()

    def _go_on(self) -> None:
        self._feeding = True
        try:
            while self._inbox or self._next:
                self._change_engines() if self._next else self._feed(self._inbox.popleft())
        finally:
            self._feeding = False
        self._watch.ring() if self.engine.has_more else self._watch.ring_soon()

    def _lead(self, records: Mapping[str, bytes], life: Life) -> None:
        """Begin to lead, as soon as the engine is up to date: in a thread, since to build it anew may take seconds."""
        self.life = life
        hub.spawn(self._build, records, life)

    def _build(self, records: Mapping[str, bytes], life: Life) -> None:
        begun = time.monotonic()
        with self._following, uncollected():
            made = self._built(records, life, begun)
        if self.life is life:
            self._exchange(made)
            if (late := time.monotonic() - begun) > TOLERANCE:
                self.deliver(Missed(late))

    def _built(self, records: Mapping[str, bytes], life: Life, now: float) -> Engine:
        """Return the engine that has followed the last leader, or one from nothing."""
        config, policies, ready = self.settings.config, self.engine.policies, self.engine.epochs.compiled
        try:
            return tpool.execute(self._standby.lead, config, policies, ready, records, life, now)
        except Exception:
            self.logger.exception("while an engine that has followed the last leader begins to lead")
            return tpool.execute(build_engine, config, policies, records, life, now, ready)

    def _stand_aside(self) -> None:
        """Lead no more, at once."""
        self.life = STANDBY
        if not self.engine.fencing.standby or self._next is not None:
            policies, ready = self.engine.policies, self.engine.epochs.compiled
            self._exchange(build_engine(self.settings.config, policies, {}, STANDBY, time.monotonic(), ready))

    def _exchange(self, engine: Engine) -> None:
        """Go on with another engine: what the present one still wants, and what is there for it, counts no more."""
        self._inbox.clear()
        self._next = engine
        if not self._feeding:
            self._go_on()

    def _change_engines(self) -> None:
        """Put another engine in the place of the present one, and introduce it to all connected switches."""
        assert self._next is not None
        self.engine, self._next = self._next, None
        starting, self._starting = self._starting, None
        if starting is not None:
            self.engine.succeed(starting)
        standby = self.engine.fencing.standby
        if not standby:
            set_aside()
        self.queries = BridgeQueries(self.engine)
        self._observers.metrics.show(self.queries)
        self._observers.metrics.starting = self.starting
        self._observers.forget_alarms()
        self._serve_pod()
        if not standby:
            self._await_switches()
        self.southbound.introduce(self.engine.is_busy, kept=starting is None)

    def _feed(self, event: Event) -> None:
        # Before the event, whose timers begin now: after a stop, frames are often read before the clock's thread runs.
        missed = self._watch.missed()
        if self.member is not None:
            self.member.look(time.monotonic())
        if missed:
            self._take(Missed(missed))
        self._take(event)

    def _take(self, event: Event) -> None:
        now = time.monotonic()
        occurred: list[LogEvent] = []
        if self._next is not None:
            return
        serving = self._serving
        if isinstance(serving, Engine) and isinstance(event, FrameReceived) and (ahead := serving.ahead(event, now)):
            for effect in ahead:
                self._perform(effect, occurred)
            # The switches work while the engine takes the steps that lead to these changes.
            self.southbound.flush()
        for effect in serving.feed(event, now):
            self._perform(effect, occurred)
        if isinstance(serving, Engine) and serving.has_rest:
            # The station has its answer while the engine does what follows from it.
            self.southbound.flush()
            for effect in serving.rest(now):
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
        elif isinstance(effect, PodEffect):
            if self.pods is not None:
                self.pods.perform(effect)
        else:
            self.southbound.perform(effect)

    def _save(self, save: Save) -> None:
        if self.member is not None and self.engine.fencing.standby:
            return
        self.owes += 1
        ended = partial(self._saved, self.engine, save.token, time.monotonic())
        if self.member is None:
            # It writes before it returns; the switches work meanwhile.
            self.southbound.flush()
            self.store.begin(save.changes, ended)
        else:
            self.member.save(save.changes, ended)

    def _saved(self, engine: Engine, token: int, begun: float, error: StoreError | None) -> None:
        self.owes -= 1
        self._observers.note_store(time.monotonic() - begun, error is not None)
        self._deliver_to(engine, Saved(token) if error is None else NotSaved(token, str(error)))

    def _deliver_to(self, engine: Engine, event: Event) -> None:
        """Feed an engine with an answer, unless there is another one in its place."""
        if self.is_active and engine is self.engine and self._next is None:
            self.deliver(event)

    def _fetch(self, wanted: FetchType) -> None:
        """Ask a VSI manager, in a green thread of its own."""
        engine = self.engine
        offer = self._fetcher.fetch(wanted)
        if isinstance(offer, FetchedDocument):
            epochs = engine.epochs
            epochs.adopt(tpool.execute(compiled, epochs.missing([offer.vsi_type])))
        self._deliver_to(engine, TypeFetched(wanted.token, offer))

    def _tick(self) -> None:
        try:
            self.deliver(TimerExpired(self.southbound.unread))
        except Exception:
            # A bug in the timer of one VSI must not stop the clock of all others.
            self.logger.exception("while serving a deadline")
            hub.sleep(_AFTER_A_BUG)

    def _deadline(self) -> float | None:
        own = None if self.member is None else self.member.deadline
        return earliest(self._serving.deadline, self._observers.deadline, own)

    def _tick_member(self, member: ClusterMember) -> None:
        now = time.monotonic()
        engine = self.engine
        ready = not engine.fencing.standby and all(map(engine.bringup.ready, engine.fencing.switches))
        member.settle(ready, now)
        member.tick(now)

    def _watch_the_clock(self) -> None:
        while self.is_active:
            self._supervisor.alive(time.monotonic())
            missed = self._watch.wait(self._deadline())
            self._observers.tick(time.monotonic())
            if self.member is not None:
                self._tick_member(self.member)
            if missed:
                self.deliver(Missed(missed))
            # A frame that arrived before its deadline counts, although it was not read before it.
            if missed or _due(self.engine.expiry):
                self.southbound.catch_up()
                self._watch.listened()
            elif _due(self._serving.deadline, _LATE):
                self.southbound.catch_up(_GLANCE)
            if _due(self._serving.deadline):
                self._tick()

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def _state_changed(self, event: ofp_event.EventOFPStateChange) -> None:
        if event.state == MAIN_DISPATCHER:
            self.southbound.datapath_up(event.datapath)
        elif event.datapath.id is not None:
            self.southbound.datapath_down(event.datapath)
