"""Connections that a switch has learnt."""

from __future__ import annotations

from ryu_apps.evb.flow.actions import RegLoad
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Table, cookie, vsi_metadata
from ryu_apps.evb.services.firewall.connections import ESTABLISHED
from tests.worlds.bridge import Vm, World


def learn(world: World, vm: Vm, *ports: int, idle: int, table: Table = Table.CONNECTIONS) -> None:
    """The switch where a VM is active learns a connection for each of these TCP ports.

    Args:
        idle: idle timeout of the rules, seconds.
    """
    vsi = world.engine.registry.vsi(vm.vsi_id)
    assert vsi is not None and vsi.owner is not None and vsi.gate_program is not None
    binding = vsi.gate_program.binding
    for port in ports:
        fields = {"eth_type": 0x0800, "ip_proto": 6, "ipv4_src": 1, "ipv4_dst": 2, "tcp_src": port, "tcp_dst": 80}
        matched = match(metadata=vsi_metadata(binding.vsi_index, Direction.TO_VM), **fields)
        owner = cookie(CookieKind.STATE, binding.vsi_index, binding.generation)
        rule = Rule(table, 100, matched, owner, (RegLoad(ESTABLISHED, 1),), idle_timeout=idle)
        world.tables[vsi.owner.port.dpid].rules[rule.key] = rule
