"""A real Open vSwitch goes on learning until a body is gone, and what it has learnt until then goes with the body."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from ryu_apps.evb.events.effect import Apply
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.actions import Learn, LearnSpec, Output, whole
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.flow.shown import DecodedRules
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, Table, cookie, owned_by
from ryu_apps.evb.switches.bringup import Bringup, SwitchState
from ryu_apps.evb.switches.desired_state import DesiredState
from ryu_apps.evb.switches.recovery import Patience
from ryu_apps.evb.tokens import TokenTable
from tests.interop.controller import Controller
from tests.interop.learning import TCP, install
from tests.interop.private_ovs import wait_for
from tests.interop.segments import Segment

INDEX, GENERATION = 5, 2
BODY, GATE, STATE = (
    cookie(kind, INDEX, GENERATION) for kind in (CookieKind.VSI_BODY, CookieKind.GATE, CookieKind.STATE)
)
OF_STATE = owned_by(CookieKind.STATE, INDEX, GENERATION)
NOTE = Learn(
    *(Table.CONNECTIONS, 7, STATE, 60, 5, 0, None),
    match=(
        LearnSpec(whole("eth_type"), 0x0800),
        LearnSpec(whole("ip_proto"), 6),
        LearnSpec(whole("tcp_dst"), whole("tcp_src")),
    ),
    writes=(),
)
#: Every connection is noted; beside it are more rules, as a policy has them.
PROGRAM = (
    Rule(Table.ADMIT, 10, match(in_port=1), GATE, goto=Table.ANTISPOOF),
    Rule(Table.ANTISPOOF, 10, match(**TCP), BODY, (NOTE, Output(2))),
    *(Rule(Table.ACL_TO, 10, match(metadata=number), BODY) for number in range(300)),
)
#: Segments that come after the body is gone: some thousand looks of Open vSwitch at what it has cached.
AFTERWARDS = 3000


class Clients:
    """Connections that begin one after the other, as fast as they can."""

    def __init__(self, end: socket.socket) -> None:
        self.begun = 0
        self._end, self._over = end, threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _work(self) -> None:
        for number in count():
            if self._over.wait(0.0005):
                return
            self._end.send(Segment(1024 + number % 60_000).octets)
            self.begun += 1

    def go_on(self, segments: int) -> None:
        wanted = self.begun + segments
        wait_for(lambda: self.begun >= wanted, f"{segments} more segments")


@pytest.mark.parametrize("trial", range(3))
def test_what_is_learnt_between_reading_and_removal_goes_with_the_body(
    controller: Controller, far_ends: dict[int, socket.socket], trial: int
) -> None:
    """The switch returns with the program of a VSI that is gone, while its VM begins connections."""
    install(controller, *PROGRAM)
    clients = Clients(far_ends[1])
    bringup = Bringup(lambda *_: DesiredState({}, (), ()), TokenTable())
    with clients.at_work():
        wait_for(lambda: controller.rules(OF_STATE), "something learnt")
        asked = bringup.connected(controller.dpid, {}, Patience.NONE)
        change = bringup.read(controller.dpid, asked.token, DecodedRules(controller.rules(OURS)))
        clients.go_on(50)
        assert isinstance(change, Apply) and isinstance(controller.apply(change.change, change.mode), Confirmed)
        assert isinstance(bringup.installed(controller.dpid, change.token), SwitchState)
        clients.go_on(AFTERWARDS)
    assert controller.rules(OURS) == set()
