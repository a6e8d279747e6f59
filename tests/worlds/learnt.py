"""Connections and pins that a switch has learnt."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.flow.actions import Learn
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.services.body import body_of_vsi
from ryu_apps.evb.simulation.learning import learnt
from ryu_apps.evb.vsi.installation import Installation
from tests.worlds.bridge import VLAN, Vm, World


def learn(world: World, vm: Vm, *ports: int, idle: int, table: Table = Table.CONNECTIONS) -> None:
    """The switch where a VM is active learns a connection from each of these TCP ports, as it does from a frame.

    Args:
        idle: idle timeout of the rules, seconds.
    """
    vsi = world.engine.registry.vsi(vm.vsi_id)
    assert vsi is not None and vsi.owner is not None and vsi.gate_program is not None
    for port in ports:
        rule = replace(_learnt(vsi.gate_program, port, table), idle_timeout=idle)
        world.tables[vsi.owner.port.dpid].rules[rule.key] = rule


def _learnt(program: Installation, port: int, table: Table) -> Rule:
    frame = {"vlan_vid": 0x1000 | VLAN, "ipv4_src": 1, "ipv4_dst": 2, "tcp_src": port, "tcp_dst": 80, "eth_dst": 3}
    made = (
        learnt(action, frame)
        for rule in body_of_vsi(program.vsi_type, program.binding)
        for action in rule.apply
        if isinstance(action, Learn) and action.table == table
    )
    # That of an established connection, in the direction of the frame.
    return max((rule for rule in made if _is_from(rule, port)), key=lambda rule: rule.priority)


def _is_from(rule: Rule, port: int) -> bool:
    return {("eth_type", 0x0800), ("tcp_src", port)} <= {(field.name, field.value) for field in rule.match}
