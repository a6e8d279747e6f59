"""VSI types with a given number of ACL rules: the shipped ones, filled up with rules that no frame meets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from ryu_apps.evb.policy.document import Document, read_document
from ryu_apps.sources import read_sources
from ryu_apps.testbed.errors import TestbedError

#: Type ID and version of a VSI type.
TypeKey = tuple[int, int]
#: Text of each policy file, by its name in the folder of a cluster.
FilledTypes = dict[str, str]

#: Addresses for measurements (RFC 2544), of which no end system or VM of a cluster has one.
_FIRST = int(IPv4Address("198.18.0.0"))
#: The port of the discard protocol (RFC 863).
_DISCARD = 9


class FillingError(TestbedError):
    """A VSI type cannot have so many rules; the text says why."""


def fill(policies: Iterable[str], keys: Iterable[TypeKey], rules: int) -> FilledTypes:
    """Read VSI types, and fill the ACLs towards the VM of some of them.

    The rules that are added stand before those of the type and deny datagrams from addresses that nothing has, so that
    the verdict on the traffic of a scenario stays as it is.

    Args:
        policies: files and folders.
        keys: of the types to fill.
        rules: of each, towards the VM; more than the type has already.

    Raises:
        FillingError: there is no such type, it has no such ACL, or more rules.
    """
    sources, unreadable = read_sources(map(Path, policies))
    if unreadable:
        raise FillingError("; ".join(map(str, unreadable)))
    wanted, filled = set(keys), {}
    for number, (file, text) in enumerate(sources, 1):
        document = read_document(file, text)
        key = _key(document)
        if key in wanted:
            wanted.remove(key)
            text = _filled(document, rules)
        filled[f"{number}-{Path(file).name}"] = text
    if wanted:
        names = ", ".join(f"{type_id} version {version}" for type_id, version in sorted(wanted))
        raise FillingError(f"no policy has the VSI type {names}")
    return filled


def write_types(types: FilledTypes, folder: Path) -> None:
    """Write policy files into a folder, which is made."""
    folder.mkdir(parents=True)
    for name, text in types.items():
        (folder / name).write_text(text, encoding="utf-8")


def _key(document: Document) -> TypeKey | None:
    identity = document.data.get("vsi_type") if isinstance(document.data, dict) else None
    return (identity.get("type_id", -1), identity.get("version", -1)) if isinstance(identity, dict) else None


def _filled(document: Document, rules: int) -> str:
    acl = document.data.get("to_vm")
    if not isinstance(acl, dict):
        raise FillingError(f"{document.file} has no ACL towards the VM (to_vm)")
    own: list[Any] = acl.get("rules") or []
    if rules < len(own):
        raise FillingError(f"{document.file} has {len(own)} ACL rules towards the VM, more than {rules}")
    added = list(_fillers(rules - len(own)))
    return str(yaml.safe_dump({**document.data, "to_vm": {**acl, "rules": [*added, *own]}}, sort_keys=False))


def _fillers(number: int) -> Iterator[dict[str, Any]]:
    for address in range(_FIRST, _FIRST + number):
        source = str(IPv4Address(address))
        yield {"rule": {"eth_type": "ipv4", "ipv4_src": source, "udp_dst": _DISCARD, "actions": {"allow": 0}}}
