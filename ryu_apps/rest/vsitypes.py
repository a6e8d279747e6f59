"""The policies: what is loaded, what each says, and who uses it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ryu_apps.evb.engine import Engine
from ryu_apps.evb.flow.rule import FieldMatch
from ryu_apps.evb.policy.fields import Masked
from ryu_apps.evb.policy.model import Acl, AclRule, VsiType, openflow_fields
from ryu_apps.evb.vsi.model import VsiTypeKey
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.rest.bridge import Bridge, Json, Reply, RestError
from ryu_apps.rest.text import dpid_text, field_json


def vsitypes(bridge: Bridge, now: float) -> list[Json]:
    """All VSI types, by type and version."""
    users = _users(bridge.engine)
    types = bridge.engine.policies.types
    return [_summary(bridge.engine, types[key], users) for key in sorted(types)]


def reload(bridge: Bridge, now: float) -> Reply:
    """Read the policy files again and put them in force, whole or not at all.

    Returns:
        200 and the number of types; 409 and every mistake with its file and place if nothing changed.
    """
    mistakes = bridge.reload()
    if mistakes:
        return Reply(409, {"error": "the policies in force stay", "mistakes": mistakes})
    return Reply(200, {"types": len(bridge.engine.policies.types)})


def vsitype(bridge: Bridge, now: float, type_id: int, version: int) -> Json:
    """One VSI type with its access control lists.

    Raises:
        RestError: 404, no such type or version is loaded.
    """
    key = VsiTypeKey(type_id, version)
    found = bridge.engine.policies.types.get(key)
    if found is None:
        raise RestError(404, f"no VSI type {key}")
    checks = found.anti_spoofing
    return {
        **_summary(bridge.engine, found, _users(bridge.engine)),
        "anti_spoofing": {"mac": checks.mac, "ip": checks.ip, "arp": checks.arp},
        "addresses": [str(network) for network in found.addresses],
        "from_vm": _acl_json(found.from_vm),
        "to_vm": _acl_json(found.to_vm),
    }


def _summary(engine: Engine, one: VsiType, users: dict[VsiTypeKey, list[str]]) -> Json:
    return {
        "type": str(one.key),
        "type_id": one.key.type_id,
        "version": one.key.version,
        "name": one.name,
        "file": one.file,
        "digest": one.digest,
        "stage_on": one.stage_on.value if one.stage_on else None,
        "rules": {"from_vm": len(one.from_vm.rules), "to_vm": len(one.to_vm.rules)},
        "used_by": users.get(one.key, []),
        "bodies": list(_bodies(engine, one.key)),
    }


def _bodies(engine: Engine, key: VsiTypeKey) -> Iterator[Json]:
    """The flow rules that the VSIs of a type share, switch by switch."""
    for body in engine.lifecycle.installer.bodies.values():
        if any(program.vsi_type.key == key for program in body.users):
            yield {
                "dpid": dpid_text(body.dpid),
                "epoch": body.epoch,
                "rules": len(body.block),
                "users": len(body.users),
                "confirmed": body.token is None,
            }


def _users(engine: Engine) -> dict[VsiTypeKey, list[str]]:
    users: dict[VsiTypeKey, dict[str, None]] = defaultdict(dict)
    for attachment in engine.registry.attachments():
        for key in _types_of(attachment):
            users[key][attachment.text] = None
    return {key: list(texts) for key, texts in users.items()}


def _types_of(attachment: Attachment) -> Iterator[VsiTypeKey]:
    if attachment.newest is not None:
        yield VsiTypeKey(attachment.newest.type_id, attachment.newest.version)
    for program in (attachment.program, *attachment.retired):
        if program is not None:
            yield program.vsi_type.key


def _acl_json(acl: Acl) -> Json:
    return {
        "rules": [_acl_rule_json(rule) for rule in acl.rules],
        "implied": [_acl_rule_json(rule) for rule in acl.implied],
        "default": _verdict(acl.default),
    }


def _acl_rule_json(rule: AclRule) -> Json:
    return {
        "action": _verdict(rule.allow),
        "match": {name: values[0] if len(values) == 1 else values for name, values in _tests(rule)},
        "line": rule.place.line,
    }


def _tests(rule: AclRule) -> Iterator[tuple[str, list[int | str]]]:
    for name, alternatives in rule.tests:
        yield name, [_alternative(name, one) for one in alternatives]


def _alternative(name: str, one: Masked) -> int | str:
    wanted = openflow_fields(((name, one),))[name]
    value, mask = wanted if isinstance(wanted, tuple) else (wanted, None)
    return field_json(FieldMatch(name, value, mask))


def _verdict(allow: bool) -> str:
    return "allow" if allow else "deny"
