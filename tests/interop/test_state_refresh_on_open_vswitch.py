"""Staged state outlasts its idle timeout in a real Open vSwitch, since it is written again; it goes with its source."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from ryu_apps.evb.events.effect import Apply, Effect, ReadRules
from ryu_apps.evb.events.switch import Confirmed, RulesRead, SwitchRead
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.flow.shown import DecodedRules
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, owned_by
from ryu_apps.evb.policy.model import Acl, PolicySet
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.vsi import state_refresh, state_transfer
from ryu_apps.evb.wire.vdp import VdpMode
from tests.interop.controller import Controller
from tests.interop.private_ovs import wait_for
from tests.interop.segments import Segment
from tests.worlds.bridge import VLAN, Vm, World, open_type

#: Seconds; an hour and a quarter of it in earnest.
STAGED_IDLE, INTERVAL = 4, 1.0
WALLED = VsiTypeKey(30, 1)
PEER_MAC = 0x5254_0000_0002


class Sender(Vm):
    """The sender of :class:`Segment`."""

    @property
    def address(self) -> IPv4Address:
        return IPv4Address("10.0.0.1")


VM = Sender(1, WALLED)


@dataclass
class RealWorld(World):
    """A world whose one switch is real, and whose time passes."""

    controller: Controller | None = None
    uplink: socket.socket | None = None

    def rules_of(self, mask: CookieMask) -> set[Rule]:
        assert self.controller is not None
        return self.controller.rules(mask)

    def pass_time(self, begin: float, segment: Segment | None) -> None:
        """Catch up with the clock; ``segment`` comes from the VM meanwhile."""
        if segment is not None and self.uplink is not None:
            self.uplink.send(segment.octets)
        self.advance(max(time.monotonic() - begin - (self.now - 1000.0), 0.0))

    def _perform(self, effect: Effect) -> None:
        assert self.controller is not None
        match effect:
            case Apply(dpid, token, change, mode, lane):
                answer = self.controller.apply(change, mode, lane)
                assert isinstance(answer, Confirmed), answer
                self.feed(Confirmed(dpid, token))
            case ReadRules(dpid, token, mask) if mask == OURS:
                self.feed(SwitchRead(dpid, token, DecodedRules(self.controller.rules(mask)), ()))
            case ReadRules(dpid, token, mask):
                self.feed(RulesRead(dpid, token, tuple(self.controller.rules(mask))))
            case _:
                super()._perform(effect)


def fabric(dpid: int) -> Fabric:
    stations = [Interface(port, f"hv{port}", Role.STATION, VLAN, timers=Timers(rka=30)) for port in (1, 2)]
    host = Interface(3, "host", Role.HOST, VLAN, macs=(PEER_MAC,))
    return Fabric({dpid: Switch(dpid, "s1", {port.port_no: port for port in (*stations, host)})})


def state_of(world: World, port: PortId) -> CookieMask:
    vsi = world.engine.registry.vsi(VM.vsi_id)
    assert vsi is not None
    program = vsi.attachments[port].holding.program
    assert program is not None
    return owned_by(CookieKind.STATE, program.binding.vsi_index, program.binding.generation)


def test_staged_state_lasts_as_long_as_its_source_and_no_longer(
    controller: Controller, far_ends: dict[int, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_transfer, "STAGED_IDLE", STAGED_IDLE)
    monkeypatch.setattr(state_refresh, "INTERVAL", INTERVAL)
    firewall = FirewallPolicy(Acl(default=True), Acl(default=True), 10, Lifetimes(2, 2, 2, 2, 2))
    walled = replace(open_type(WALLED), services=(("firewall", firewall),))
    here, there = PortId(controller.dpid, 1), PortId(controller.dpid, 2)
    world = RealWorld(fabric(controller.dpid), PolicySet({WALLED: walled}), controller=controller, uplink=far_ends[1])
    world.connect()
    begin, segment = time.monotonic(), Segment(40000)
    world.ask(here, VM, VdpMode.ASSOCIATE)
    assert world.answer(here).success

    def learnt() -> set[Rule]:
        world.pass_time(begin, segment)
        return world.rules_of(state_of(world, here))

    wait_for(learnt, "connection that the switch has learnt")
    world.ask(there, VM, VdpMode.PREASSOCIATE_RR)
    assert world.answer(there).success
    staged = state_of(world, there)

    def shown() -> set[Rule]:
        """Also what is written again lasts as long as staged state, and not as long as that of the source."""
        world.pass_time(begin, segment)
        rules = world.rules_of(staged)
        assert {rule.idle_timeout for rule in rules} <= {STAGED_IDLE}
        return rules

    end = time.monotonic() + 2 * STAGED_IDLE
    while time.monotonic() < end:
        shown()
        time.sleep(0.1)
    wait_for(shown, "staged state after twice its idle timeout")

    def ended() -> bool:
        world.pass_time(begin, None)
        return not world.rules_of(staged)

    controller.apply(RuleChange(delete_by_cookie=(state_of(world, here),)))
    wait_for(ended, "end of staged state whose source has ended")
