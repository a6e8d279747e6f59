"""State of a VSI as JSON: what the bridge that has it shows, and what a bridge of another pod, or an NMS, makes of it.

The rules are those that the switch has learned for the VSI, of all services that keep state in the switch.  They say
nothing of a port or a switch, so they hold in another fabric after the index of the VSI is rewritten.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    FinTimeout,
    RegLoad,
    whole,
)
from ryu_apps.evb.flow.match import FIELD_SIZES
from ryu_apps.evb.flow.match import match as matching
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import VSI_MASK, Table

#: Version of the document; a reader refuses others.
VERSION = 1
#: Rules of one document, and octets of it.
MAX_RULES, MAX_SIZE = 100_000, 64_000_000
#: Fields that no carried rule writes: they tell ports, VLANs and VSIs apart.
_NEVER_WRITTEN = frozenset(("metadata", "in_port", "vlan_vid"))

Totals = tuple[tuple[int, int], tuple[int, int]]


class StateError(ValueError):
    """A document that cannot be used."""


class VsiState(NamedTuple):
    """State of a VSI.

    Attributes:
        vsi: canonical text.
        type: ID and version of its VSI type, ``100/1``.
        digest: of the policy.
        final: the gate is shut, so nothing will be added.
        rules: as learned.
        memberships: as ``snooping.memory`` packs them.
        totals: frames and octets from the VM and to it; None: the type has no statistics.
    """

    vsi: str
    type: str
    digest: str
    final: bool
    rules: tuple[Rule, ...] = ()
    memberships: bytes = b""
    totals: Totals | None = None


class TotalsDocument(TypedDict):
    """Frames and octets, from the VM and to it."""

    from_vm: list[int]
    to_vm: list[int]


class StateDocument(TypedDict):
    """The document."""

    version: int
    vsi: str
    type: str
    digest: str
    final: bool
    rules: list[dict[str, object]]
    memberships: str
    totals: TotalsDocument | None


def to_json(state: VsiState) -> StateDocument:
    """Return the document."""
    return {
        "version": VERSION,
        "vsi": state.vsi,
        "type": state.type,
        "digest": state.digest,
        "final": state.final,
        "rules": [_rule_json(rule) for rule in state.rules],
        "memberships": b64encode(state.memberships).decode("ascii"),
        "totals": None if state.totals is None else {"from_vm": list(state.totals[0]), "to_vm": list(state.totals[1])},
    }


def read(octets: bytes, vsi: str) -> VsiState:
    """Read a document.

    Args:
        vsi: that it has to be about.

    Raises:
        StateError: damaged, of another version, about another VSI, or with a rule that is not the VSI's alone.
    """
    try:
        document = json.loads(octets)
        if document["version"] != VERSION:
            raise StateError(f"version {document['version']} of the document, not {VERSION}")
        if document["vsi"] != vsi:
            raise StateError(f"about VSI {document['vsi']}")
        if len(document["rules"]) > MAX_RULES:
            raise StateError(f"more than {MAX_RULES} rules")
        return VsiState(
            vsi,
            str(document["type"]),
            str(document["digest"]),
            bool(document["final"]),
            tuple(map(rule_of, document["rules"])),
            memberships_of(document["memberships"]),
            _totals(document["totals"]),
        )
    except StateError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise StateError(f"no state of a VSI: {type(error).__name__} {error}") from error


def memberships_of(written: str) -> bytes:
    """Read the memberships of a document.

    Raises:
        StateError: they are damaged.
    """
    try:
        return b64decode(written, validate=True)
    except (ValueError, TypeError) as error:
        raise StateError(f"memberships: {error}") from error


def _totals(written: Mapping[str, Any] | None) -> Totals | None:
    if written is None:
        return None
    from_vm, to_vm = (tuple(map(_count, written[way])) for way in ("from_vm", "to_vm"))
    return (from_vm[0], from_vm[1]), (to_vm[0], to_vm[1])


def _count(written: Any) -> int:
    if not isinstance(written, int) or not 0 <= written < 1 << 63:
        raise StateError("a count that is none")
    return written


# --- rules ----------------------------------------------------------------------------------------
def _rule_json(rule: Rule) -> dict[str, object]:
    return {
        "table": Table(rule.table).name,
        "priority": rule.priority,
        "match": {
            field.name: hex(field.value) if field.mask is None else [hex(field.value), hex(field.mask)]
            for field in rule.match
        },
        "actions": [_action_json(action) for action in rule.apply],
        "idle_timeout": rule.idle_timeout,
        "hard_timeout": rule.hard_timeout,
    }


def _action_json(action: Action) -> list[object]:
    match action:
        case RegLoad(target, value):
            return ["load", target.name, target.offset, target.width, hex(value)]
        case FinTimeout(idle):
            return ["fin_timeout", idle]
    raise StateError(f"learned rules have no {type(action).__name__}")


def rule_of(written: Mapping[str, Any]) -> Rule:
    """Read one rule of a document.

    Raises:
        StateError: it is damaged, or not of one VSI, or writes what no learned rule writes.
    """
    try:
        return _rule(written)
    except StateError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StateError(f"a rule: {type(error).__name__} {error}") from error


def _rule(written: Mapping[str, Any]) -> Rule:
    fields = {name: _match_value(value) for name, value in written["match"].items()}
    _, mask = _pair(fields.get("metadata", 0))
    if mask & VSI_MASK != VSI_MASK:
        raise StateError("a rule that is not of one VSI")
    return Rule(
        Table[written["table"]],
        _seconds(written["priority"]),
        matching(**fields),
        0,
        tuple(map(_action, written["actions"])),
        idle_timeout=_seconds(written["idle_timeout"]),
        hard_timeout=_seconds(written["hard_timeout"]),
    )


def _match_value(written: Any) -> int | tuple[int, int]:
    if isinstance(written, str):
        return int(written, 16)
    value, mask = written
    return int(value, 16), int(mask, 16)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    # An exact match on metadata is of no learned rule.
    return value if isinstance(value, tuple) else (value, 0)


def _action(written: Any) -> Action:
    kind, *values = written
    if kind == "fin_timeout":
        return FinTimeout(_seconds(values[0]))
    if kind != "load":
        raise StateError(f"an action {kind!r}")
    name, offset, width, value = values
    if name not in FIELD_SIZES or name in _NEVER_WRITTEN:
        raise StateError(f"a rule that writes {name!r}")
    target, number = Bits(name, _seconds(offset), _seconds(width)), int(value, 16)
    if not 0 < target.width <= 64 or target.offset + target.width > whole(name).width or number >> target.width:
        raise StateError(f"{value} does not fit {width} bits of {name}")
    return RegLoad(target, number)


def _seconds(written: Any) -> int:
    """A number of 16 bits."""
    if not isinstance(written, int) or isinstance(written, bool) or not 0 <= written <= 0xFFFF:
        raise StateError(f"{written!r} is no number of 16 bits")
    return written
