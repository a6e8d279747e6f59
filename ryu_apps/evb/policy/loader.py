"""Policy files to a :class:`PolicySet`, or to the list of everything that is wrong with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, replace

from ryu_apps.evb.policy.diagnostic import Diagnostic, Place, error, has_errors, in_reading_order
from ryu_apps.evb.policy.document import Document, read_document
from ryu_apps.evb.policy.lint import lint
from ryu_apps.evb.policy.model import Acl, AclRule, AntiSpoofing, PolicySet, StageOn, VsiType
from ryu_apps.evb.policy.neighbours import neighbour_rules
from ryu_apps.evb.policy.schema import Direction, PolicyFile, explain_key, tests_of
from ryu_apps.evb.policy.validate import validate
from ryu_apps.evb.vsi.model import VsiTypeKey

DIRECTIONS = ("from_vm", "to_vm")
#: Rules of one direction: each takes a priority of its own.
MAX_ACL_RULES = 20_000
#: Flow rules that the ACL of one direction may come to.
MAX_FLOW_RULES = 65_536


def load_policies(files: Iterable[tuple[str, str]]) -> tuple[PolicySet | None, list[Diagnostic]]:
    """Check and resolve policy files.

    Args:
        files: ``(file name, text)``; the names appear in diagnostics only.

    Returns:
        the policies, None if there is any error, and all diagnostics in reading order.
    """
    found: list[Diagnostic] = []
    types: dict[VsiTypeKey, VsiType] = {}
    for file, text in files:
        document = read_document(file, text)
        vsi_type, diagnostics = _load(document)
        found += diagnostics
        if vsi_type is None:
            continue
        other = types.setdefault(vsi_type.key, vsi_type)
        if other is not vsi_type:
            place = document.value_place(("vsi_type", "type_id"))
            found.append(error(file, place, f"VSI type {vsi_type.key} is already defined in {other.file}"))
    return None if has_errors(found) else PolicySet(types), in_reading_order(found)


def _load(document: Document) -> tuple[VsiType | None, list[Diagnostic]]:
    if document.data is None:
        return None, document.diagnostics or [error(document.file, Place(), "file is empty")]
    parsed, diagnostics = validate(PolicyFile, document, explain_key)
    diagnostics += document.diagnostics
    if parsed is None:
        return None, diagnostics
    vsi_type = _resolve(parsed, document)
    oversized = [one for name in DIRECTIONS for one in _size(getattr(vsi_type, name), name, document)]
    if oversized:
        return vsi_type, diagnostics + oversized
    return vsi_type, diagnostics + lint(vsi_type)


def _resolve(parsed: PolicyFile, document: Document) -> VsiType:
    switches = parsed.anti_spoofing
    vsi_type = VsiType(
        key=VsiTypeKey(parsed.vsi_type.type_id, parsed.vsi_type.version),
        name=parsed.vsi_type.name,
        from_vm=_acl(parsed, "from_vm", document),
        to_vm=_acl(parsed, "to_vm", document),
        anti_spoofing=AntiSpoofing(switches.mac, switches.ip, switches.arp),
        addresses=tuple(dict.fromkeys(parsed.addresses)),
        stage_on=StageOn(parsed.stage_on) if parsed.stage_on else None,
        file=document.file,
    )
    return replace(vsi_type, digest=_digest(vsi_type))


def _acl(parsed: PolicyFile, name: str, document: Document) -> Acl:
    direction: Direction = getattr(parsed, name)
    return Acl(
        rules=tuple(
            AclRule(entry.rule.actions.allow, tests_of(entry.rule), document.key_place((name, "rules", index, "rule")))
            for index, entry in enumerate(direction.rules)
        ),
        implied=neighbour_rules(from_vm=name == "from_vm") if parsed.neighbour_discovery else (),
        default=direction.default == "allow",
    )


def _digest(vsi_type: VsiType) -> str:
    meaning = (
        vsi_type.key,
        _acl_meaning(vsi_type.from_vm),
        _acl_meaning(vsi_type.to_vm),
        astuple(vsi_type.anti_spoofing),
        [str(network) for network in vsi_type.addresses],
        vsi_type.stage_on and vsi_type.stage_on.value,
    )
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


def _acl_meaning(acl: Acl) -> object:
    return [(rule.allow, rule.tests) for rule in (*acl.rules, *acl.implied)], acl.default


def _size(acl: Acl, name: str, document: Document) -> list[Diagnostic]:
    place = document.key_place((name, "rules"))
    if len(acl.rules) > MAX_ACL_RULES:
        return [error(document.file, place, f"{len(acl.rules)} rules, at most {MAX_ACL_RULES} fit into a table")]
    total = 0
    for rule in acl.rules:
        total += rule.size
        if total > MAX_FLOW_RULES:
            reason = f"{name} comes to more than {MAX_FLOW_RULES} flow rules here: fewer ranges and lists in one rule"
            return [error(document.file, rule.place, reason)]
    return []
