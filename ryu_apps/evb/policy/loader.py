"""Policy files to a :class:`PolicySet`, or to a list of all their mistakes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, replace
from functools import lru_cache
from typing import Any

from pydantic import create_model

from ryu_apps.evb.flow.guarded import NetworkRole
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.address_set import AddressSet
from ryu_apps.evb.policy.diagnostic import Diagnostic, error, has_errors, in_reading_order
from ryu_apps.evb.policy.document import Document, read_document
from ryu_apps.evb.policy.lint import lint
from ryu_apps.evb.policy.model import Acl, AntiSpoofing, PolicySet, StageOn, Trigger, VsiNetwork, VsiType
from ryu_apps.evb.policy.neighbours import neighbour_rules
from ryu_apps.evb.policy.rule_entry import explain_key
from ryu_apps.evb.policy.schema import DirectionSection, NetworkSection, PolicyFile, resolve_rules
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.set_section import SetSection, undefined_sets
from ryu_apps.evb.policy.validate import validate

DIRECTIONS = ("from_vm", "to_vm")
#: Rules of one direction: each has a priority of its own.
MAX_ACL_RULES = 50_000
#: Flow rules compiled from the ACL of one direction.
MAX_FLOW_RULES = 65_536
#: Rules of which a digest is computed at a time.
_PIECE = 256


def load_policies(
    files: Iterable[tuple[str, str]], sections: tuple[Section, ...] = ()
) -> tuple[PolicySet | None, list[Diagnostic]]:
    """Check and resolve policy files.

    Args:
        files: ``(file name, text)``; the names appear in diagnostics only.
        sections: the services that a file may have.

    Returns:
        the policies, None if there is any error, and all diagnostics in reading order.
    """
    texts = dict(files)
    policies, found = load_documents((read_document(file, text) for file, text in texts.items()), sections)
    if policies is None:
        return None, found
    return PolicySet(
        {key: replace(vsi_type, text=texts[vsi_type.file]) for key, vsi_type in policies.types.items()}
    ), found


def load_documents(
    documents: Iterable[Document], sections: tuple[Section, ...] = ()
) -> tuple[PolicySet | None, list[Diagnostic]]:
    """Check and resolve documents that have been read already, from YAML or another source with positions."""
    found: list[Diagnostic] = []
    types: dict[VsiTypeKey, VsiType] = {}
    for document in documents:
        vsi_type, diagnostics = _load(document, sections)
        found += diagnostics
        if vsi_type is None:
            continue
        other = types.setdefault(vsi_type.key, vsi_type)
        if other is not vsi_type:
            place = document.value_place(("vsi_type", "type_id"))
            found.append(error(document.file, place, f"VSI type {vsi_type.key} is already defined in {other.file}"))
    return None if has_errors(found) else PolicySet(types), in_reading_order(found)


def load_offered(
    file: str, text: str, key: VsiTypeKey, sections: tuple[Section, ...] = ()
) -> tuple[VsiType | None, list[Diagnostic]]:
    """Check and resolve one policy file that must have the given type and version.

    Returns:
        the type, None if there is any error, and all diagnostics in reading order.
    """
    document = read_document(file, text)
    vsi_type, found = _load(document, sections)
    if vsi_type is not None and vsi_type.key != key:
        key_part = "type_id" if vsi_type.key.type_id != key.type_id else "version"
        reason = f"VSI type {vsi_type.key} in place of the requested {key}"
        found.append(error(file, document.value_place(("vsi_type", key_part)), reason))
    usable = vsi_type is not None and not has_errors(found)
    return replace(vsi_type, text=text) if vsi_type is not None and usable else None, in_reading_order(found)


def _load(document: Document, sections: tuple[Section, ...]) -> tuple[VsiType | None, list[Diagnostic]]:
    if document.data is None:
        return None, document.diagnostics
    parsed, diagnostics = validate(_schema(sections), document, explain_key)
    diagnostics += document.diagnostics
    if parsed is None:
        return None, diagnostics
    used = tuple(section for section in sections if getattr(parsed, section.name) is not None)
    vsi_type = _resolve(parsed, document, used)
    for name in DIRECTIONS:
        diagnostics += undefined_sets(vsi_type, getattr(vsi_type, name), (name,), document)
    oversized = [diagnostic for name in DIRECTIONS for diagnostic in _size(getattr(vsi_type, name), name, document)]
    if oversized:
        return vsi_type, diagnostics + oversized
    for section in used:
        diagnostics += section.mistakes(vsi_type, vsi_type.service(section.name), document)
    return vsi_type, diagnostics + lint(vsi_type)


@lru_cache
def _schema(sections: tuple[Section, ...]) -> type[PolicyFile]:
    """The model of a file with the keys of these services."""
    if not sections:
        return PolicyFile
    fields: dict[str, Any] = {section.name: (section.schema | None, None) for section in sections}
    return create_model("PolicyFile", __base__=PolicyFile, **fields)


def _resolve(parsed: PolicyFile, document: Document, sections: tuple[Section, ...]) -> VsiType:
    switches = parsed.anti_spoofing
    replaces_default = any(section.replaces_acl_default for section in sections)
    vsi_type = VsiType(
        key=VsiTypeKey(parsed.vsi_type.type_id, parsed.vsi_type.version),
        name=parsed.vsi_type.name,
        from_vm=_acl(parsed, "from_vm", document, replaces_default),
        to_vm=_acl(parsed, "to_vm", document, replaces_default),
        anti_spoofing=AntiSpoofing(switches.mac, switches.ip, switches.arp),
        addresses=tuple(dict.fromkeys(parsed.addresses)),
        roles=tuple(role for role in NetworkRole if role.value in parsed.roles),
        network=_network(parsed.network),
        labels=tuple(dict.fromkeys(parsed.labels)),
        sets=tuple(sorted((name, _set(section)) for name, section in parsed.sets.items())),
        stage_on=StageOn(parsed.stage_on) if parsed.stage_on else None,
        keep_null_vids=parsed.null_vid and parsed.null_vid == "keep",
        notify_displaced=parsed.notify_displaced,
        trigger=Trigger(parsed.trigger) if parsed.trigger else Trigger.DUAL,
        services=tuple(
            (section.name, section.resolve(getattr(parsed, section.name), document)) for section in sections
        ),
        file=document.file,
    )
    return replace(vsi_type, digest=_digest(vsi_type, sections))


def _acl(parsed: PolicyFile, name: str, document: Document, replaces_default: bool) -> Acl:
    if replaces_default and name not in parsed.model_fields_set:
        return Acl(default=True)
    direction: DirectionSection = getattr(parsed, name)
    return Acl(
        rules=resolve_rules(direction, (name,), document),
        implied=neighbour_rules(from_vm=name == "from_vm") if parsed.neighbour_discovery else (),
        default=direction.default == "allow",
    )


def _network(section: NetworkSection) -> VsiNetwork:
    return VsiNetwork(tuple(dict.fromkeys(section.vlan)), tuple(dict.fromkeys(section.group)), section.pcp)


def _set(section: SetSection) -> AddressSet:
    return AddressSet(tuple(sorted(set(section.types), key=str)), tuple(sorted(set(section.labels))))


def _digest(vsi_type: VsiType, sections: tuple[Section, ...]) -> str:
    meaning: tuple[object, ...] = (
        vsi_type.key,
        vsi_type.from_vm.meaning,
        vsi_type.to_vm.meaning,
        astuple(vsi_type.anti_spoofing),
        [str(network) for network in vsi_type.addresses],
        vsi_type.stage_on and vsi_type.stage_on.value,
        *((section.name, section.meaning(vsi_type.service(section.name))) for section in sections),
        *([[role.value for role in vsi_type.roles]] if vsi_type.roles else []),
        *([vsi_type.trigger.value] if vsi_type.trigger is not Trigger.DUAL else []),
        *([("network", astuple(vsi_type.network))] if vsi_type.network != VsiNetwork() else []),
        *_set_meaning(vsi_type),
        *_station_meaning(vsi_type),
    )
    found = hashlib.sha256()
    for piece in _as_json(meaning):
        found.update(piece.encode())
    return found.hexdigest()


def _as_json(value: object, levels: int = 3) -> Iterator[str]:
    """Yield JSON in pieces: the encoder lets no other thread go on, and of a whole policy it makes one text."""
    if not levels or not value or not isinstance(value, list | tuple):
        yield json.dumps(value)
    elif len(value) > _PIECE:
        for start in range(0, len(value), _PIECE):
            yield ("[" if start == 0 else ", ") + json.dumps(value[start : start + _PIECE])[1:-1]
        yield "]"
    else:
        separator = "["
        for item in value:
            yield separator
            yield from _as_json(item, levels - 1)
            separator = ", "
        yield "]"


def _set_meaning(vsi_type: VsiType) -> Iterator[object]:
    if vsi_type.labels:
        yield {"labels": vsi_type.labels}
    if vsi_type.sets:
        yield {"sets": [(name, found.meaning) for name, found in vsi_type.sets]}


def _station_meaning(vsi_type: VsiType) -> Iterator[object]:
    if vsi_type.keep_null_vids is not None:
        yield {"keep_null_vids": vsi_type.keep_null_vids}
    if vsi_type.notify_displaced is not None:
        yield {"notify_displaced": vsi_type.notify_displaced}


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
