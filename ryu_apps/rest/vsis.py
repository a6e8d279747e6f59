"""The VSIs the bridge knows: where each is attached, and what its switches hold for it."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.events import OperatorDeassociate
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.services.body import services_of
from ryu_apps.evb.vsi.registry import Attachment, Installation, Vsi
from ryu_apps.rest.bridge import Bridge, JsonValue, Reply, RestError
from ryu_apps.rest.text import binding_json, port_json

#: What the deadline of an attachment is for; in other states none is running.
_AWAITED = {VsiState.HELD: "keep_alive", VsiState.DECIDING: "resource_wait"}
_RECALLABLE = tuple(_AWAITED)


def vsis(bridge: Bridge, now: float) -> Iterator[JsonValue]:
    """All VSIs, in the order in which they came; one that goes while the answer is written is left out."""
    chosen = list(bridge.engine.registry)
    return (_vsi_json(bridge, one, now) for one in chosen if one.attachments)


def vsi(bridge: Bridge, now: float, vsi: str) -> JsonValue:
    """One VSI, by the text of its VSIID.

    Raises:
        RestError: 404, no port knows it.
    """
    return _vsi_json(bridge, _known(bridge, vsi), now)


def deassociate(bridge: Bridge, now: float, vsi: str) -> Reply:
    """Take a VSI off every port; its stations are told by an unsolicited De-Associate.

    Returns:
        200 if nothing is left of it, 202 while switches still have to confirm or to return; and what was recalled.

    Raises:
        RestError: 404, no port knows it and no switch that is away holds anything of it.
    """
    stale_rules = bridge.engine.associations.stale_rules
    known = bridge.engine.registry.named(vsi) if vsi in stale_rules else _known(bridge, vsi)
    attachments = known.attachments.values() if known else ()
    recalled = [str(one.port) for one in attachments if one.machine.state in _RECALLABLE]
    bridge.deliver(OperatorDeassociate(vsi))
    away = [bridge.engine.fabric.switches[dpid].name for dpid in stale_rules.of(vsi)]
    gone = bridge.engine.registry.named(vsi) is None and not away
    body: JsonValue = {"vsi": vsi, "recalled": recalled, "gone": gone}
    return Reply(200 if gone else 202, body | ({"away": away} if away else {}))


def _known(bridge: Bridge, text: str) -> Vsi:
    found = bridge.engine.registry.named(text)
    if found is None:
        raise RestError(404, f"no VSI {text}")
    return found


def _vsi_json(bridge: Bridge, one: Vsi, now: float) -> JsonValue:
    attachments = one.attachments.values()
    return {
        "vsi": one.text,
        "name": next((attachment.name for attachment in attachments if attachment.name), None),
        "owner": str(one.owner.port) if one.owner else None,
        "attachments": [_attachment_json(bridge, attachment, now) for attachment in attachments],
    }


def _attachment_json(bridge: Bridge, one: Attachment, now: float) -> JsonValue:
    machine = one.machine
    deadline = machine.deadline
    return {
        **port_json(bridge.engine.fabric, one.port),
        "phase": one.phase.value,
        "mode": machine.in_force.name.lower() if machine.in_force else None,
        "wanted": machine.wanted.name.lower() if machine.wanted else None,
        "type": _type(one),
        "bindings": [binding_json(binding) for binding in one.bindings],
        "addresses": [str(address) for address in one.addresses],
        "since": one.since + bridge.wall_offset,
        "age": now - one.since,
        "deadline": None if deadline is None else deadline + bridge.wall_offset,
        "deadline_for": _AWAITED.get(machine.state) if deadline is not None else None,
        "expires_in": None if deadline is None else deadline - now,
        "program": _program_json(one.program) if one.program else None,
        "replaced": [_program_json(program) for program in one.retired],
    }


def _type(one: Attachment) -> str | None:
    """The type in force or, before there is one, the type that was asked for."""
    if one.program is not None:
        return str(one.program.vsi_type.key)
    return str(VsiTypeKey(one.newest.type_id, one.newest.version)) if one.newest else None


def _program_json(program: Installation) -> JsonValue:
    return {
        "type": str(program.vsi_type.key),
        "digest": program.vsi_type.digest,
        "phase": program.phase.value,
        "epoch": program.epoch,
        "index": program.binding.vsi_index,
        "generation": program.binding.generation,
        "rules": program.rules,
        "waiting": len(program.waiting),
        "services": list(services_of(program.vsi_type)),
        "carried": dict(program.carried),
        "fixed_up": dict(program.fixed_up),
    }
