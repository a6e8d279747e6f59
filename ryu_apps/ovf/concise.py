"""A match as an operator would write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ryu_apps.evb.policy.fields import KINDS, Alternatives
from ryu_apps.evb.policy.rule_entry import AnyRule
from ryu_apps.evb.policy.rule_kinds import tests_of
from ryu_apps.ovf.values import Written, written

_RULE: TypeAdapter[Any] = TypeAdapter(AnyRule)


def concise(fields: Mapping[str, Alternatives]) -> dict[str, Written]:
    """Return a match as an operator would write it, without fields that are filled in anyway."""
    data = {name: written(name, fields[name]) for name in KINDS if name in fields}
    meant = _meaning(data)
    for name in ("eth_type", "ip_proto"):
        shorter = {key: value for key, value in data.items() if key != name}
        if meant is not None and _meaning(shorter) == meant:
            data = shorter
    return data


def _meaning(data: Mapping[str, Written]) -> object:
    try:
        return tests_of(_RULE.validate_python({**data, "actions": {"allow": 1}}))
    except ValidationError:
        return None
