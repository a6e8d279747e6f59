"""The VSI types: their sources, their access control lists, and the VSIs that use them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.flow.rule import FieldMatch
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.fields import Masked
from ryu_apps.evb.policy.model import Acl, AclRule, VsiType, openflow_fields
from ryu_apps.evb.vsi_types.database import LOCAL, TypeDatabase
from ryu_apps.evb.wire.manager_text import manager_text
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.rest.bridge import Bridge, JsonValue, PlainText, Reply, RestError
from ryu_apps.rest.text import dpid_text, field_json

#: Source and key of a type: one key may have another meaning at each VSI manager.
Named = tuple[str, VsiTypeKey]


def vsitypes(bridge: Bridge, now: float) -> list[JsonValue]:
    """All VSI types, by type and version: those of the local directory, and those fetched from VSI managers."""
    engine = bridge.engine
    users = _users(engine)
    known = [*engine.policies.types.values(), *(cached.vsi_type for cached in engine.types.cache)]
    ordered = sorted(known, key=lambda vsi_type: (vsi_type.key, vsi_type.file))
    return [_summary(engine, vsi_type, users, now) for vsi_type in ordered]


def reload(bridge: Bridge, now: float) -> Reply:
    """Read the policy files again and put them in force, whole or not at all.

    Returns:
        200 and the number of types; 409 and every mistake with its file and place, and nothing has changed.
    """
    mistakes = bridge.reload()
    if mistakes:
        return Reply(409, {"error": "the policies in force stay", "mistakes": mistakes})
    return Reply(200, {"types": len(bridge.engine.policies.types)})


def vsitype(bridge: Bridge, now: float, type_id: int, version: int, manager: ManagerId | None = None) -> JsonValue:
    """One VSI type with its access control lists.

    Args:
        manager: the VSI manager; None: the local directory or, if it has no such type, any VSI manager.

    Raises:
        RestError: 404, no such type or version is known.
    """
    key = VsiTypeKey(type_id, version)
    found = _find(bridge.engine.types, key, manager)
    if found is None:
        raise RestError(404, f"no VSI type {key}")
    checks = found.anti_spoofing
    return {
        **_summary(bridge.engine, found, _users(bridge.engine), now),
        "anti_spoofing": {"mac": checks.mac, "ip": checks.ip, "arp": checks.arp},
        "addresses": [str(network) for network in found.addresses],
        "from_vm": _acl_json(found.from_vm),
        "to_vm": _acl_json(found.to_vm),
    }


def policy(bridge: Bridge, now: float, type_id: int, version: int) -> PlainText:
    """The file of a type of the local directory, octet by octet, for bridges that use this one as a VSI manager.

    Raises:
        RestError: 404, the local directory has no such type or version.
    """
    key = VsiTypeKey(type_id, version)
    found = bridge.engine.policies.types.get(key)
    if found is None:
        raise RestError(404, f"no VSI type {key}")
    body = found.text.encode()
    return PlainText("text/yaml; charset=utf-8", body, sha256(body).hexdigest()[:32])


def _find(types: TypeDatabase, key: VsiTypeKey, manager: ManagerId | None) -> VsiType | None:
    fetched = [cached for cached in types.cache if cached.vsi_type.key == key]
    if manager is None:
        return types.local.types.get(key) or next((cached.vsi_type for cached in fetched), None)
    origin = types.origin(manager, key)
    if origin == LOCAL:
        return types.local.types.get(key)
    return next((cached.vsi_type for cached in fetched if cached.url == origin), None)


def _summary(engine: Engine, vsi_type: VsiType, users: dict[Named, list[str]], now: float) -> JsonValue:
    named = engine.types.origin_of(vsi_type), vsi_type.key
    return {
        "type": str(vsi_type.key),
        "type_id": vsi_type.key.type_id,
        "version": vsi_type.key.version,
        "name": vsi_type.name,
        "file": vsi_type.file,
        "digest": vsi_type.digest,
        **_standing(engine.types, *named, now),
        "stage_on": vsi_type.stage_on.value if vsi_type.stage_on else None,
        "rules": {"from_vm": len(vsi_type.from_vm.rules), "to_vm": len(vsi_type.to_vm.rules)},
        "used_by": users.get(named, []),
        "bodies": list(_bodies(engine, named)),
    }


def _standing(types: TypeDatabase, origin: str, key: VsiTypeKey, now: float) -> JsonValue:
    """Source of a type, its age, and its state at the VSI manager."""
    fetched = next((cached for cached in types.cache if cached.url == origin), None)
    if fetched is None:
        return {"source": "local", "managers": [], "age": None, "stale": False, "refused": None}
    listed = [manager for manager in types.managers.listed if types.origin(manager, key) == origin]
    return {
        "source": origin,
        "managers": [manager_text(manager) for manager in listed],
        "age": None if fetched.checked is None else now - fetched.checked,
        "stale": fetched.stale(now),
        "refused": fetched.refused,
    }


def _bodies(engine: Engine, named: Named) -> Iterator[JsonValue]:
    """The flow rules that the VSIs of a type share, switch by switch."""
    for body in engine.lifecycle.installer.bodies.values():
        types = (program.vsi_type for program in body.users)
        if any((engine.types.origin_of(vsi_type), vsi_type.key) == named for vsi_type in types):
            yield {
                "dpid": dpid_text(body.dpid),
                "epoch": body.epoch,
                "rules": len(body.block),
                "users": len(body.users),
                "confirmed": body.token is None,
            }


def _users(engine: Engine) -> dict[Named, list[str]]:
    users: dict[Named, dict[str, None]] = defaultdict(dict)
    for attachment in engine.registry.attachments():
        for named in engine.types.used_by(attachment):
            users[named][attachment.text] = None
    return {named: list(texts) for named, texts in users.items()}


def _acl_json(acl: Acl) -> JsonValue:
    return {
        "rules": [_acl_rule_json(rule) for rule in acl.rules],
        "implied": [_acl_rule_json(rule) for rule in acl.implied],
        "default": _verdict(acl.default),
    }


def _acl_rule_json(rule: AclRule) -> JsonValue:
    return {
        "action": _verdict(rule.allow),
        "match": {name: values[0] if len(values) == 1 else values for name, values in _tests(rule)},
        "line": rule.place.line,
    }


def _tests(rule: AclRule) -> Iterator[tuple[str, list[int | str]]]:
    for name, alternatives in rule.tests:
        yield name, [_alternative(name, alternative) for alternative in alternatives]


def _alternative(name: str, alternative: Masked) -> int | str:
    wanted = openflow_fields(((name, alternative),))[name]
    value, mask = wanted if isinstance(wanted, tuple) else (wanted, None)
    return field_json(FieldMatch(name, value, mask))


def _verdict(allow: bool) -> str:
    return "allow" if allow else "deny"
