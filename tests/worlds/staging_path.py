"""The path of a Pre-Associate with resource reservation through the engine and the driver, with its effort."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Apply, Effect
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.southbound.driver import SwitchDriver
from ryu_apps.southbound.encode import FLOW_MOD_FIXED, message
from ryu_apps.southbound.messages import numbered
from ryu_apps.southbound.piece import PieceCache
from tests.worlds.associate_path import ObligingSwitch
from tests.worlds.bridge import HV1, Vm, World
from tests.worlds.effort import calls

#: Cookie, table, timeouts and priority of a flow-mod.
_FLOW_MOD = struct.Struct("!8xQ8xBxHHH")
_ENTRY = struct.Struct("!HBxIIHHHHxxxxQQQ")
_PART = struct.Struct("!HH4x")
_COMMAND = 25
#: Of a flow statistics request.
_COOKIE = slice(32, 40)


class ShowingSwitch(ObligingSwitch):
    """A switch that shows the rules of a whole cookie, the newest first, and each of them older than before.

    Attributes:
        effort: Python calls of the driver so far.
        measured: calls are counted, which takes time.
        outcomes: events of the driver.
    """

    def __init__(self, dpid: int) -> None:
        super().__init__(dpid)
        self.effort = 0
        self.measured = False
        self.outcomes: list[Event] = []
        self.driver = SwitchDriver(dpid, self._sent, self._reserve, self.outcomes.append, PieceCache())
        self._added: dict[bytes, list[bytes]] = defaultdict(list)
        self._age = 0

    def counted(self, action: Callable[[], object]) -> int:
        """Carry out an action; returns its Python calls while it is measured."""
        if self.measured:
            return calls(action)
        action()
        return 0

    def carry_out(self, asked: Apply) -> None:
        """Carry out a change."""
        self.effort += self.counted(lambda: self.driver.submit(asked))
        self.answer()

    def _answer(self, asked: bytes) -> None:
        if asked[1] == ofp.OFPT_FLOW_MOD:
            self._change(asked)
        elif asked[1] == ofp.OFPT_BARRIER_REQUEST:
            self._reply(asked, message(ofp.OFPT_BARRIER_REPLY, b""))
        elif asked[1] == ofp.OFPT_MULTIPART_REQUEST:
            self._age += 1
            shown = map(self._entry, reversed(self._added[asked[_COOKIE]]))
            self._reply(asked, message(ofp.OFPT_MULTIPART_REPLY, _PART.pack(ofp.OFPMP_FLOW, 0) + b"".join(shown)))
        else:
            super()._answer(asked)

    def _change(self, asked: bytes) -> None:
        if asked[_COMMAND] == ofp.OFPFC_ADD:
            self._added[asked[8:16]].append(asked)
        else:
            # All rules of a cookie.
            self._added.pop(asked[8:16], None)

    def _reply(self, asked: bytes, octets: bytes) -> None:
        reply = numbered(octets, int.from_bytes(asked[4:8]))
        self.effort += self.counted(lambda: self.driver.receive(reply))

    def _entry(self, added: bytes) -> bytes:
        cookie, table, idle, hard, priority = _FLOW_MOD.unpack_from(added)
        age, counters = (self._age, self._age), (self._age, self._age)
        return _ENTRY.pack(len(added), table, *age, priority, idle, hard, 0, cookie, *counters) + added[FLOW_MOD_FIXED:]


class StagingPath:
    """A world of which the engine, and the driver of the switch of hv1, are measured."""

    def __init__(self, policies: PolicySet) -> None:
        self._world = World(policies=policies)
        self._switch = ShowingSwitch(HV1.dpid)
        self._engine_feeds = self._world.engine.feed
        self._effort = 0
        self._world.connect()
        self._world.engine.feed = self._feed  # type: ignore[method-assign]

    def stage(self, vm: Vm, *, measured: bool = True) -> int:
        """Stage a VM at hv1 and take it off; returns the Python calls of the staging, if it is measured."""
        self._effort = self._switch.effort = 0
        self._switch.measured = measured
        self._world.ask(HV1, vm, VdpMode.PREASSOCIATE_RR)
        effort = self._effort + self._switch.effort
        self._world.ask(HV1, vm, VdpMode.DEASSOCIATE)
        return effort

    def _feed(self, event: Event, now: float) -> list[Effect]:
        effects: list[Effect] = []
        self._effort += self._switch.counted(lambda: effects.extend(self._engine_feeds(event, now)))
        for effect in effects:
            if isinstance(effect, Apply) and effect.dpid == HV1.dpid:
                self._switch.carry_out(effect)
                # All that was sent has been shown: the driver has compared it.
                assert Confirmed(effect.dpid, effect.token) in self._switch.outcomes
        return effects
