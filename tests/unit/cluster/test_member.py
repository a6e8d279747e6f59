"""Members of a cluster with one store in memory: who is told to lead, what gets into the store, what is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from ryu_apps.cluster_member import ClusterMember
from ryu_apps.evb.cluster.election import OPENING, Election
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.cluster import LeadBegun, LeadEnded, LeaderFollowed, LeaderMissing
from ryu_apps.evb.generation import Life, newer
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.store import StoreError, StoreWatcher
from ryu_apps.evb.switches.recovery import UNKNOWN
from tests.worlds.faulty_store import FaultyStore

PATIENCE = 0.7
KEY = ATTACHMENT.key("vm")


class OwnStore(FaultyStore):
    """The store as one bridge reaches it: who is stopped hears nothing."""

    def __init__(self, shared: FaultyStore, bridge: Bridge) -> None:
        self.__dict__ = shared.__dict__
        self.bridge = bridge

    def watch(self, watcher: StoreWatcher) -> Callable[[], None]:
        bridge = self.bridge
        return super().watch(lambda changes: None if bridge.stopped else watcher(changes))


@dataclass
class Bridge:
    """The bridge of one member, as far as its membership sees it."""

    site: Site
    name: str
    lives: list[Life | None] = field(default_factory=list)
    records: Mapping[str, bytes] = field(default_factory=dict)
    told: list[LogEvent] = field(default_factory=list)
    stopped: bool = False
    switches: int = 2
    watched: tuple[int, str] = (0, "")

    def __post_init__(self) -> None:
        election = Election(self.name, f"http://{self.name}/", PATIENCE)
        self.member = ClusterMember(
            OwnStore(self.site.store, self),
            election,
            self.lead,
            lambda: self.lives.append(None),
            self.told.append,
            "1.0",
            lambda: self.switches,
            self.watch,
            lambda: self.site.now,
        )

    def watch(self, version: int, url: str) -> None:
        self.watched = version, url

    def lead(self, records: Mapping[str, bytes], life: Life) -> None:
        self.lives.append(life)
        self.records = records

    @property
    def leads(self) -> bool:
        return self.member.status(self.site.now).leads

    def save(self, value: bytes) -> StoreError | None:
        """Write a record as the engine of a leader does."""
        ended: list[StoreError | None] = []
        self.member.save({KEY: value}, ended.append)
        return ended[0]


@dataclass
class Site:
    """Members, their store, and the time."""

    now: float = 100.0
    store: FaultyStore = field(default_factory=FaultyStore)
    bridges: list[Bridge] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store.commit(UNKNOWN)

    def start(self, *names: str) -> None:
        for name in names:
            self.bridges.append(Bridge(self, name))
            self.bridges[-1].member.begin()

    def advance(self, seconds: float) -> None:
        """Let time pass in steps, with every clock thread at work; new leaders settle at once."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 0.01, end)
            for bridge in self.bridges:
                if not bridge.stopped:
                    bridge.member.settle(True, self.now)
                    bridge.member.tick(self.now)
            self.store.deliver()

    def leaders(self) -> list[str]:
        return [bridge.name for bridge in self.bridges if bridge.leads]


@pytest.fixture
def site() -> Site:
    site = Site()
    site.start("c1", "c2", "c3")
    site.advance(3.0)
    assert site.leaders() == ["c1"]
    return site


def test_next_leader_has_the_records_and_a_newer_generation(site: Site) -> None:
    first, second, third = site.bridges
    assert first.save(b"granted") is None
    first.stopped = True
    site.advance(PATIENCE + 0.1)
    new = second if second.leads else third
    assert site.leaders() == [new.name]
    assert new.records[KEY] == b"granted"
    (old_life,), (new_life,) = first.lives, new.lives
    assert old_life is not None and new_life is not None and newer(new_life.generation, old_life.generation)
    assert isinstance(new.told[-1], LeadBegun) and new.told[-1].before == "c1"


def test_leader_that_wakes_up_stands_aside_before_anything_else_and_writes_nothing(site: Site) -> None:
    first = site.bridges[0]
    first.stopped = True
    site.advance(2.0)
    assert first.lives[-1] is not None, "it was told nothing while it was stopped"
    # In another green thread than that of the clock, and before it.
    error = first.save(b"late")
    assert error is not None
    assert first.lives[-1] is None and site.store.get(KEY) is None
    first.stopped = False
    site.advance(1.0)
    assert [type(event) for event in first.told[-2:]] == [LeadEnded, LeaderFollowed]
    assert first.member.status(site.now).lost == 1


def test_process_of_the_leader_alone_is_watched(site: Site) -> None:
    first, second, third = site.bridges
    assert first.watched[1] == "" and second.watched == third.watched == (1, "http://c1/")
    first.member.transfer("c3")
    site.advance(0.05)
    assert third.watched[1] == "" and first.watched == second.watched == (3, "http://c3/")
    second.member.close()
    assert second.watched == (0, "")


def test_member_leads_before_the_lease_has_lapsed_when_the_process_of_the_leader_is_gone(site: Site) -> None:
    first, second, third = site.bridges
    assert first.save(b"granted") is None
    first.stopped = True
    for bridge in (second, third):
        bridge.member.gone(bridge.watched[0])
    site.advance(0.02)
    assert second.leads and not third.leads and second.records[KEY] == b"granted"
    assert isinstance(second.told[-1], LeadBegun) and (second.told[-1].before, second.told[-1].reason) == ("c1", "gone")
    assert second.member.status(site.now).reason == "gone" and third.member.status(site.now).reason == ""


def test_leader_that_was_taken_for_dead_stands_aside_and_writes_nothing(site: Site) -> None:
    first, second, _ = site.bridges
    version = second.watched[0]
    second.member.gone(version)
    # The claim is in the store, and the former leader has not been told.
    assert isinstance(first.save(b"late"), StoreError) and site.store.get(KEY) is None
    assert first.lives[-1] is None
    site.advance(0.02)
    assert site.leaders() == ["c2"]
    assert first.member.status(site.now).lost == 1
    # A report about the former leader, in whose place another one leads, has come late.
    for bridge in site.bridges:
        bridge.member.gone(version)
    site.advance(1.0)
    assert site.leaders() == ["c2"]


@pytest.mark.parametrize("way", ["lapsed", "transferred"])
def test_take_over_says_why(site: Site, way: str) -> None:
    first = site.bridges[0]
    assert first.member.status(site.now).reason == "free"
    if way == "lapsed":
        first.stopped = True
        site.advance(PATIENCE + 0.1)
    else:
        first.member.transfer("c3")
        site.advance(0.05)
    (name,) = site.leaders()
    new = next(bridge for bridge in site.bridges if bridge.name == name)
    assert first.stopped or first.member.status(site.now).reason == ""
    (begun,) = [event for event in new.told if isinstance(event, LeadBegun)]
    assert (begun.before, begun.reason) == (("c1", "lapsed") if way == "lapsed" else ("", "free"))


def test_look_ends_a_lead_whose_time_is_over(site: Site) -> None:
    first = site.bridges[0]
    site.store.connected = False
    first.stopped = True
    site.now += 0.9 * PATIENCE
    first.member.look(site.now)
    assert first.lives[-1] is None
    # Before it has tried to claim the lease again.
    assert [type(event) for event in first.told[-2:]] == [LeadEnded, LeaderMissing]


def test_without_the_store_nobody_leads_and_everybody_says_so(site: Site) -> None:
    site.store.connected = False
    site.advance(2.0)
    assert site.leaders() == []
    for bridge in site.bridges:
        assert isinstance(bridge.told[-1], LeaderMissing)
        status = bridge.member.status(site.now)
        assert (status.leads, status.leader, status.address) == (False, "", "")
    site.store.connected = True
    site.advance(2.0)
    assert len(site.leaders()) == 1
    followers = [bridge for bridge in site.bridges if not bridge.leads]
    assert all(isinstance(bridge.told[-1], LeaderFollowed) for bridge in followers)


def test_leader_knows_how_far_its_standbys_are(site: Site) -> None:
    first, second, _ = site.bridges
    standbys = first.member.status(site.now).standbys
    assert [standby.name for standby in standbys] == ["c2", "c3"]
    assert all(standby.lag is not None and standby.lag < 0.2 for standby in standbys)
    assert {(standby.switches, standby.version) for standby in standbys} == {(2, "1.0")}
    second.stopped = True
    status = second.member.status(site.now)
    assert (status.leader, status.address, status.leads) == ("c1", "http://c1/", False)


def test_transfer_to_a_named_standby(site: Site) -> None:
    first = site.bridges[0]
    first.member.transfer("c3")
    assert first.lives[-1] is None
    site.advance(0.05)
    assert site.leaders() == ["c3"]
    assert first.member.status(site.now).lost == 0


def test_leader_that_ends_in_good_order_keeps_nobody_waiting(site: Site) -> None:
    first = site.bridges[0]
    first.stopped = True
    first.member.close()
    site.advance(0.05)
    assert len(site.leaders()) == 1 and not first.leads


def test_leader_that_has_not_settled_may_be_busy_for_longer(site: Site) -> None:
    site.bridges[0].stopped = True
    site.advance(PATIENCE + 0.1)
    (name,) = site.leaders()
    new = next(bridge for bridge in site.bridges if bridge.name == name)
    # As while it restores thousands of VSIs.
    new.stopped = True
    assert new.member._election.settled
    site.advance(2 * PATIENCE)
    assert site.leaders() not in ([], [name])


def test_leader_that_is_busy_with_its_beginning_is_waited_for() -> None:
    site = Site()
    site.start("c1", "c2")
    for _ in range(30):
        site.now += 0.01
        site.bridges[0].member.tick(site.now)
    site.bridges[0].stopped = True
    site.advance(OPENING / 2)
    assert site.leaders() == ["c1"]


def test_standby_that_reaches_more_switches_for_a_while_is_given_the_lead(site: Site) -> None:
    first, _, third = site.bridges
    first.switches = third.switches = 1
    site.advance(1.0)
    # As when a switch is restarted, and comes back to each member at another time.
    first.switches = 2
    site.advance(4.0)
    assert site.leaders() == ["c1"]
    first.switches = 0
    site.advance(4.0)
    assert site.leaders() == ["c2"]
    assert first.member.status(site.now).lost == 0
