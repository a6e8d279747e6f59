"""The VSI types: their sources, their access control lists, and the VSIs that use them."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Literal

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.type_queries import TypeBodyStatus, TypeStatus
from ryu_apps.evb.flow.match import FieldMatch
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.address_set import AddressSet, referenced
from ryu_apps.evb.policy.fields import Masked
from ryu_apps.evb.policy.model import Acl, AclRule, openflow_fields
from ryu_apps.evb.policy.validate import notice_text
from ryu_apps.evb.services.body import minimum_of
from ryu_apps.evb.wire.manager_text import manager_text
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.rest.bridge import Bridge, PlainText, Reply, RestError
from ryu_apps.rest.text import dpid_text, field_json


class RefusedFilesJson(TypedDict):
    """Files that were not put in force, and why."""

    error: str
    mistakes: list[str]


class TypesLoadedJson(TypedDict):
    """Number of VSI types of the local directory."""

    types: int


class BodyJson(TypedDict):
    """Rules that VSIs of a type share in one switch."""

    dpid: str
    epoch: int
    rules: int
    users: int
    confirmed: bool


class RuleNumbersJson(TypedDict):
    """Numbers of rules of the access control lists."""

    from_vm: int
    to_vm: int


class MinimumJson(TypedDict):
    """Minimum rates of a VSI, kbit/s."""

    from_vm: int
    to_vm: int


class TypeSummaryJson(TypedDict):
    """A VSI type, its source, and the VSIs that use it."""

    type: str
    type_id: int
    version: int
    name: str
    file: str
    digest: str
    source: str
    managers: list[str]
    age: float | None
    stale: bool
    refused: str | None
    stage_on: str | None
    null_vid: Literal["keep", "fill"] | None
    notify_displaced: str | int | None
    minimum: MinimumJson
    rules: RuleNumbersJson
    used_by: list[str]
    bodies: list[BodyJson]


class AntiSpoofingJson(TypedDict):
    """Checks of frames from a VM; true: on."""

    mac: bool
    ip: bool
    arp: bool


class AclRuleJson(TypedDict):
    """A rule; several values of a field are alternatives."""

    action: Literal["allow", "deny"]
    match: dict[str, int | str | list[int | str]]
    line: int


class AclJson(TypedDict):
    """An access control list of one direction."""

    rules: list[AclRuleJson]
    implied: list[AclRuleJson]
    default: Literal["allow", "deny"]


class SetMeaningJson(TypedDict):
    """VSI types and labels whose addresses are in a set."""

    types: list[str]
    labels: list[str]


class VsiTypeJson(TypeSummaryJson):
    """A VSI type with its access control lists."""

    anti_spoofing: AntiSpoofingJson
    addresses: list[str]
    labels: list[str]
    sets: dict[str, SetMeaningJson]
    from_vm: AclJson
    to_vm: AclJson


#: Content type of policy files.
POLICY_TYPE = "text/yaml; charset=utf-8"


def vsitypes(bridge: Bridge, now: float, after: VsiTypeKey | None = None) -> list[TypeSummaryJson]:
    """All VSI types, by type and version: those of the local directory, and those fetched from VSI managers."""
    known = bridge.queries.types.all()
    return [_summary(status, now) for status in known if after is None or status.vsi_type.key > after]


def reload(bridge: Bridge, now: float) -> Reply[TypesLoadedJson | RefusedFilesJson]:
    """Read the policy files again and put them in force, whole or not at all.

    Returns:
        200 and the number of types; 409 and every mistake with its file and place, and nothing has changed.
    """
    mistakes = bridge.reloader.policies()
    if mistakes:
        return Reply(409, {"error": "the policies in force stay", "mistakes": mistakes})
    return Reply(200, {"types": len(bridge.queries.types.local())})


def vsitype(bridge: Bridge, now: float, type_id: int, version: int, manager: ManagerId | None = None) -> VsiTypeJson:
    """One VSI type with its access control lists.

    Args:
        manager: the VSI manager; None: the local directory or, if it has no such type, any VSI manager.

    Raises:
        RestError: 404, no such type or version is known.
    """
    key = VsiTypeKey(type_id, version)
    status = bridge.queries.types.find(key, manager)
    if status is None:
        raise RestError(404, f"no VSI type {key}")
    found = status.vsi_type
    checks = found.anti_spoofing
    return {
        **_summary(status, now),
        "anti_spoofing": {"mac": checks.mac, "ip": checks.ip, "arp": checks.arp},
        "addresses": [str(network) for network in found.addresses],
        "labels": list(found.labels),
        "sets": {name: _set_json(address_set) for name, address_set in found.sets},
        "from_vm": _acl_json(found.from_vm),
        "to_vm": _acl_json(found.to_vm),
    }


def policy(bridge: Bridge, now: float, type_id: int, version: int) -> PlainText:
    """The file of a type of the local directory, octet by octet, for bridges that use this one as a VSI manager.

    Raises:
        RestError: 404, the local directory has no such type or version.
    """
    key = VsiTypeKey(type_id, version)
    found = bridge.queries.types.local().get(key)
    if found is None:
        raise RestError(404, f"no VSI type {key}")
    body = found.text.encode()
    return PlainText(POLICY_TYPE, body, sha256(body).hexdigest()[:32])


def _summary(status: TypeStatus, now: float) -> TypeSummaryJson:
    vsi_type = status.vsi_type
    minimum = minimum_of(vsi_type)
    return {
        "type": str(vsi_type.key),
        "type_id": vsi_type.key.type_id,
        "version": vsi_type.key.version,
        "name": vsi_type.name,
        "file": vsi_type.file,
        "digest": vsi_type.digest,
        "source": status.origin or "local",
        "managers": [manager_text(manager) for manager in status.managers],
        "age": None if status.checked is None else now - status.checked,
        "stale": status.stale(now),
        "refused": status.refused,
        "stage_on": vsi_type.stage_on.value if vsi_type.stage_on else None,
        "null_vid": None if vsi_type.keep_null_vids is None else "keep" if vsi_type.keep_null_vids else "fill",
        "notify_displaced": notice_text(vsi_type.notify_displaced),
        "minimum": {"from_vm": minimum.from_vm, "to_vm": minimum.to_vm},
        "rules": {"from_vm": len(vsi_type.from_vm.rules), "to_vm": len(vsi_type.to_vm.rules)},
        "used_by": list(status.users),
        "bodies": [_body_json(body) for body in status.bodies],
    }


def _body_json(body: TypeBodyStatus) -> BodyJson:
    return {
        "dpid": dpid_text(body.dpid),
        "epoch": body.epoch,
        "rules": body.rules,
        "users": body.users,
        "confirmed": body.confirmed,
    }


def _set_json(address_set: AddressSet) -> SetMeaningJson:
    return {"types": [str(selector) for selector in address_set.types], "labels": list(address_set.labels)}


def _acl_json(acl: Acl) -> AclJson:
    return {
        "rules": [_acl_rule_json(rule) for rule in acl.rules],
        "implied": [_acl_rule_json(rule) for rule in acl.implied],
        "default": _verdict(acl.default),
    }


def _acl_rule_json(rule: AclRule) -> AclRuleJson:
    return {
        "action": _verdict(rule.allow),
        "match": {name: values[0] if len(values) == 1 else values for name, values in _tests(rule)},
        "line": rule.place.line,
    }


def _tests(rule: AclRule) -> Iterator[tuple[str, list[int | str]]]:
    for name, alternatives in rule.tests:
        yield name, [_alternative(name, alternative) for alternative in alternatives]


def _alternative(name: str, alternative: Masked) -> int | str:
    if (set_name := referenced(alternative)) is not None:
        return f"${set_name}"
    wanted = openflow_fields(((name, alternative),))[name]
    value, mask = wanted if isinstance(wanted, tuple) else (wanted, None)
    return field_json(FieldMatch(name, value, mask))


def _verdict(allow: bool) -> Literal["allow", "deny"]:
    return "allow" if allow else "deny"
