"""The policies: what is loaded, what each says, and who uses it."""

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

#: Whose a type is, and which: one key may mean something else at each VSI manager.
Named = tuple[str, VsiTypeKey]


def vsitypes(bridge: Bridge, now: float) -> list[JsonValue]:
    """All VSI types, by type and version: those of the local directory, and those that VSI managers have told."""
    engine = bridge.engine
    users = _users(engine)
    known = [*engine.policies.types.values(), *(one.vsi_type for one in engine.types.cache)]
    return [_summary(engine, one, users, now) for one in sorted(known, key=lambda one: (one.key, one.file))]


def reload(bridge: Bridge, now: float) -> Reply:
    """Read the policy files again and put them in force, whole or not at all.

    Returns:
        200 and the number of types; 409 and every mistake with its file and place if nothing changed.
    """
    mistakes = bridge.reload()
    if mistakes:
        return Reply(409, {"error": "the policies in force stay", "mistakes": mistakes})
    return Reply(200, {"types": len(bridge.engine.policies.types)})


def vsitype(bridge: Bridge, now: float, type_id: int, version: int, manager: ManagerId | None = None) -> JsonValue:
    """One VSI type with its access control lists.

    Args:
        manager: whose; None: that of the local directory or, if it has none, of any VSI manager.

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
    """The very file that a type of the local directory was loaded from, for bridges whose VSI manager this one is.

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
    told = [one for one in types.cache if one.vsi_type.key == key]
    if manager is None:
        return types.local.types.get(key) or next((one.vsi_type for one in told), None)
    origin = types.origin(manager, key)
    if origin == LOCAL:
        return types.local.types.get(key)
    return next((one.vsi_type for one in told if one.url == origin), None)


def _summary(engine: Engine, one: VsiType, users: dict[Named, list[str]], now: float) -> JsonValue:
    named = engine.types.origin_of(one), one.key
    return {
        "type": str(one.key),
        "type_id": one.key.type_id,
        "version": one.key.version,
        "name": one.name,
        "file": one.file,
        "digest": one.digest,
        **_standing(engine.types, *named, now),
        "stage_on": one.stage_on.value if one.stage_on else None,
        "rules": {"from_vm": len(one.from_vm.rules), "to_vm": len(one.to_vm.rules)},
        "used_by": users.get(named, []),
        "bodies": list(_bodies(engine, named)),
    }


def _standing(types: TypeDatabase, origin: str, key: VsiTypeKey, now: float) -> JsonValue:
    """Who told a type, when, and whether it is still so."""
    told = next((one for one in types.cache if one.url == origin), None)
    if told is None:
        return {"source": "local", "managers": [], "age": None, "stale": False, "refused": None}
    listed = [one for one in types.managers.listed if types.origin(one, key) == origin]
    return {
        "source": origin,
        "managers": [manager_text(one) for one in listed],
        "age": None if told.checked is None else now - told.checked,
        "stale": told.stale(now),
        "refused": told.refused,
    }


def _bodies(engine: Engine, named: Named) -> Iterator[JsonValue]:
    """The flow rules that the VSIs of a type share, switch by switch."""
    for body in engine.lifecycle.installer.bodies.values():
        types = (program.vsi_type for program in body.users)
        if any((engine.types.origin_of(one), one.key) == named for one in types):
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
        yield name, [_alternative(name, one) for one in alternatives]


def _alternative(name: str, one: Masked) -> int | str:
    wanted = openflow_fields(((name, one),))[name]
    value, mask = wanted if isinstance(wanted, tuple) else (wanted, None)
    return field_json(FieldMatch(name, value, mask))


def _verdict(allow: bool) -> str:
    return "allow" if allow else "deny"
