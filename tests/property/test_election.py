"""Drawn schedules of a cluster: whatever is late, stopped, lost or given up, at most one member leads."""

from __future__ import annotations

from functools import partial
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.cluster.election import OPENING
from tests.worlds.election import Cluster

NAMES = ("c1", "c2", "c3")
#: Seconds in which faults happen, and after which the cluster has to have a leader.
FAULTS, PEACE = 20.0, 3 * OPENING

_times = st.floats(0.0, FAULTS)
_spans = st.one_of(st.floats(0.01, 1.0), st.floats(1.0, 10.0))
_names = st.sampled_from(NAMES)
stops = st.tuples(st.just("stop"), _times, _spans, _names)
losses = st.tuples(st.just("lose"), _times, _spans, _names)
settlings = st.tuples(st.just("settle"), _times, _spans, _names)
transfers = st.tuples(st.just("transfer"), _times, _spans, _names)
kills = st.tuples(st.just("kill"), _times, _spans, _names)
unnoticed = st.tuples(st.just("kill unnoticed"), _times, _spans, _names)
mistakes = st.tuples(st.just("mistake"), _times, _spans, _names)


def _settle(cluster: Cluster, name: str) -> None:
    cluster.members[name].election.settled = True


def _lose(cluster: Cluster, lost: bool) -> None:
    cluster.store_lost = lost


def _transfer(cluster: Cluster, successor: str) -> None:
    for name in cluster.leaders():
        cluster.transfer(name, successor if successor != name else "")


@settings(max_examples=150)
@given(
    faults=st.lists(st.one_of(stops, losses, settlings, transfers, kills, unnoticed, mistakes), max_size=12),
    seed=st.integers(0, 2**32),
    slowest=st.sampled_from([0.005, 0.05, 0.3, 1.0]),
    reply_lost=st.sampled_from([0.0, 0.05, 0.3]),
)
def test_at_most_one_member_leads(
    faults: list[tuple[str, float, float, str]], seed: int, slowest: float, reply_lost: float
) -> None:
    cluster = Cluster(3, Random(seed), slowest=slowest)
    cluster.reply_lost = reply_lost
    for kind, begun, span, name in faults:
        if kind == "stop":
            cluster.at(begun, partial(cluster.stop, name))
            cluster.at(begun + span, partial(cluster.wake, name))
        elif kind == "lose":
            cluster.at(begun, partial(_lose, cluster, True))
            cluster.at(begun + span, partial(_lose, cluster, False))
        elif kind.startswith("kill"):
            cluster.at(begun, partial(cluster.kill, name, span / 4 if kind == "kill" else None))
            cluster.at(begun + span, partial(cluster.restart, name))
        elif kind == "mistake":
            cluster.at(begun, partial(cluster.mistake, name))
        elif kind == "settle":
            cluster.at(begun, partial(_settle, cluster, name))
        else:
            cluster.at(begun, partial(_transfer, cluster, name))
    cluster.run(FAULTS + 10.0)
    # Now everybody runs, and the store answers in time.
    cluster.reply_lost, cluster.slowest = 0.0, 0.01
    cluster.run(FAULTS + 10.0 + PEACE)
    assert len(cluster.leaders()) == 1


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), phase=st.floats(2.0, 4.0))
def test_stopped_leader_is_replaced_in_time_and_wakes_up_as_a_standby(seed: int, phase: float) -> None:
    cluster = Cluster(3, Random(seed), slowest=0.01)
    cluster.run(phase)
    (old,) = cluster.leaders()
    _settle(cluster, old)
    cluster.run(phase + 1.0)
    cluster.stop(old)
    # The patience by a slow clock, and the way of a claim.
    cluster.run(phase + 2.0)
    (new,) = cluster.leaders()
    assert new != old
    member = cluster.members[old]
    member.stopped = False
    # Before it has read anything: its own clock says that its time is over.
    assert not member.election.leads(cluster.clock(old))
    cluster.wake(old)
    cluster.run(phase + 2.5)
    assert cluster.leaders() == [new]
