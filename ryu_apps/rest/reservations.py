"""Room in the switches: the budget of each, and who has been promised what of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import Owner
from ryu_apps.rest.bridge import Bridge, JsonValue
from ryu_apps.rest.text import dpid_text

#: Owner of a promise -> the attachments it was made to.
_Holders = dict[Owner, list[Attachment]]


def reservations(bridge: Bridge, now: float) -> list[JsonValue]:
    """All configured switches with their promises; a budget of null is no limit."""
    engine = bridge.engine
    return [
        {
            "dpid": dpid_text(dpid),
            "name": switch.name,
            "budget": engine.ledger.budget(dpid),
            "used": engine.ledger.used(dpid),
            "promises": list(_promises(engine, dpid, now)),
        }
        for dpid, switch in sorted(engine.fabric.switches.items())
    ]


def _promises(engine: Engine, dpid: int, now: float) -> Iterator[JsonValue]:
    holders = _holders(engine, dpid)
    for (kind, number), rules in engine.ledger.reservations(dpid).items():
        yield {
            "for": kind,
            "epoch" if kind == "type" else "index": number,
            "rules": rules,
            "holders": [_holder_json(one, now) for one in holders.get((kind, number), ())],
        }


def _holder_json(one: Attachment, now: float) -> JsonValue:
    expires = one.machine.deadline if one.machine.state is VsiState.HELD else None
    return {
        "vsi": one.text,
        "port": str(one.port),
        "phase": one.phase.value,
        "age": now - one.since,
        "expires_in": None if expires is None else expires - now,
    }


def _holders(engine: Engine, dpid: int) -> _Holders:
    """The rules of a type are promised once, to all VSIs of the type together."""
    holders: _Holders = defaultdict(list)
    for attachment in engine.registry.attachments():
        for program in attachment.programs if attachment.port.dpid == dpid else ():
            holders["vsi", program.binding.vsi_index].append(attachment)
            holders["type", program.epoch].append(attachment)
    return holders
