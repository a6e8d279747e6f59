"""Network port profiles (DSP8049) as VSI types, and back.

A profile has an ``Item`` that names a VSI type, the VLAN and the like, and behind it, where the schema leaves room for
others, the filters of :mod:`ryu_apps.ovf.filters` and an ``evb:Policy``: those keys of a policy file that CIM has no
words for, in the words of the policy file.

A profile becomes a :class:`~ryu_apps.evb.policy.document.Document` whose places are those of the XML.  So it is checked
by the very loader that checks policy files, and its mistakes stand where their author can find them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, warning
from ryu_apps.evb.policy.document import Document, Path, read_document
from ryu_apps.evb.policy.model import Acl as PolicyAcl
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.ovf.cim_filters import LIST, CimDirection
from ryu_apps.ovf.filter_writer import acl_nodes
from ryu_apps.ovf.filters import Draft, read_filter_list
from ryu_apps.ovf.markup import Element, MarkupNode
from ryu_apps.ovf.model import FilterAcl, FilterRule, PortProfile
from ryu_apps.ovf.names import EPASD, EVB, NPP, OVF
from ryu_apps.ovf.policy_text import policy_lines
from ryu_apps.ovf.port import ID_IS_URI, EthernetPort, property_nodes, read_port
from ryu_apps.ovf.properties import misunderstood

_POLICY = (EVB, "Policy")
_ITEMS = ((OVF, "Item"), (NPP, "Item"))

#: The keys of a policy file that the rest of a profile says.
_SAID_BY_CIM = ("version", "vsi_type", "from_vm", "to_vm")
_DIRECTIONS = {"from_vm": CimDirection.OUTPUT, "to_vm": CimDirection.INPUT}


@dataclass(frozen=True, slots=True)
class FoundProfile:
    """Contents of one network port profile.

    Attributes:
        ports: its items.
        document: the VSI type that it describes, as a policy file; None if it only names types, or none.
    """

    ports: tuple[EthernetPort, ...]
    document: Document | None


#: How many characters and values the ``evb:Policy`` elements of a package may come to; reading YAML takes its time.
MAX_POLICY = 500_000
#: What an ``evb:Policy`` counts for besides that is no YAML: it takes the longest to find out.
_BROKEN = 100_000
#: How many flow rules the filters of a package may come to; so does looking for those that shadow each other.
MAX_FLOW_RULES = 500_000


@dataclass(slots=True)
class Allowance:
    """Remainder of the limits of a package."""

    policy: int = MAX_POLICY
    flow_rules: int = MAX_FLOW_RULES


def read_profile(element: Element, allowance: Allowance) -> tuple[FoundProfile, list[Diagnostic]]:
    """Read a ``NetworkPortProfile``, inside an envelope or as a document of its own.

    Args:
        element: the profile.
        allowance: of the package that it is in.
    """
    found: list[Diagnostic] = []
    ports: list[EthernetPort] = []
    drafts: list[Draft] = []
    policies: list[Element] = []
    for child in element.children:
        if child.name in _ITEMS:
            port, diagnostics = read_port(child)
            ports.append(port)
        elif child.name == LIST:
            more, diagnostics = read_filter_list(child)
            drafts += more
        elif child.name == _POLICY:
            policies.append(child)
            diagnostics = [child.error("a second evb:Policy")] if len(policies) > 1 else []
        elif child.name[0] in (OVF, NPP) and child.name[1] in ("Info", "Name", "Description"):
            diagnostics = []
        else:
            diagnostics = misunderstood(child)
        found += diagnostics
    found += _unmistakable(element, ports, bool(drafts or policies))
    typed = [port for port in ports if port.vsi_type is not None]
    if not (drafts or policies) or len(typed) != 1:
        return FoundProfile(tuple(ports), None), found
    allowance.flow_rules -= sum(draft.size for draft in drafts)
    if allowance.flow_rules < 0:
        found.append(element.error(f"the filters of the package come to more than {MAX_FLOW_RULES} flow rules"))
        return FoundProfile(tuple(ports), None), found
    document = _document(element, typed[0], drafts)
    for policy in policies[:1]:
        _merge(document, policy, allowance)
    return FoundProfile(tuple(ports), document), found


def _unmistakable(element: Element, ports: list[EthernetPort], described: bool) -> Iterator[Diagnostic]:
    types = [port for port in ports if port.vsi_type is not None]
    if described and len(types) != 1:
        yield element.error(f"a profile with filters is that of one VSI type (VSITypeID), not of {len(types)}")
    for port in ports:
        if port.vsi_type is None and port.vlan is None and not described:
            yield port.element.warning("names no VSI type (VSITypeID): it says nothing to a bridge")
        if port.vsi_id is not None or port.mac is not None:
            yield port.element.warning("an address or a VSIID belongs to an adapter: not taken over from a profile")


def bare_document(port: EthernetPort) -> Document:
    """The policy file of a type of which nothing but its name is known: it denies everything."""
    return _document(port.element, port, [])


# --- the document of a type -----------------------------------------------------------------------
def _document(element: Element, port: EthernetPort, drafts: list[Draft]) -> Document:
    document = Document(element.file)
    assert port.vsi_type is not None
    _put(document, (), {}, element.place)
    identity = {"type_id": port.vsi_type.type_id, "version": port.vsi_type.version, "name": port.name or _name(port)}
    _put(document, ("version",), 1, element.place)
    _put(document, ("vsi_type",), identity, port.element.place)
    for key, name in (("type_id", "VSITypeID"), ("version", "VSITypeIDVersion"), ("name", "ElementName")):
        source = port.element.first((EPASD, name)) or port.element
        document.values[("vsi_type", key)] = source.place
    for name in _DIRECTIONS:
        _put_acl(document, name, [draft for draft in drafts if draft.direction == name])
    return document


def _name(port: EthernetPort) -> str:
    """Something to call a type whose item has no ElementName."""
    return port.profile_id[:64] or f"VSI type {port.vsi_type}"


def _put_acl(document: Document, name: str, drafts: list[Draft]) -> None:
    if not drafts:
        return
    first = drafts[0].element
    defaults = [draft for draft in drafts if isinstance(draft.data, bool)]
    for draft in defaults[1:]:
        document.complain(draft.element.place, f"a default is already given on line {defaults[0].element.place.line}")
    if not defaults:
        reason = f"{name} has no default (CIM_FilterEntry, DefaultFilter): whatever no filter list matches is denied"
        document.diagnostics.append(warning(document.file, first.place, reason))
    allow = bool(defaults and defaults[0].data)
    _put(document, (name,), {"default": "allow" if allow else "deny"}, first.place)
    rules = [draft for draft in drafts if not isinstance(draft.data, bool)]
    if rules:
        _put(document, (name, "rules"), [], rules[0].element.place)
    for index, draft in enumerate(rules):
        path = (name, "rules", index)
        _put(document, path, {"rule": draft.data}, draft.element.place)
        for field, source in draft.places.items():
            document.values[(*path, "rule", field)] = document.keys[(*path, "rule", field)] = source.place


def _put(document: Document, path: Path, value: Any, place: Position) -> None:
    """Set a value; it and all that is inside stand at one place."""
    if not path:
        document.data = value
    else:
        holder = document.data
        for part in path[:-1]:
            holder = holder[part]
        if isinstance(holder, list):
            holder.append(value)
        else:
            holder[path[-1]] = value
    for inner in _paths(path, value):
        document.values[inner] = document.keys[inner] = place


def _paths(path: Path, value: Any) -> Iterator[Path]:
    yield path
    inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, nested in inside:
        yield from _paths((*path, key), nested)


def _merge(document: Document, policy: Element, allowance: Allowance) -> None:
    """Take over the keys of an ``evb:Policy``, with the places that its lines have in the XML."""
    if not policy.text.strip():
        return
    allowance.policy -= len(policy.text)
    if allowance.policy < 0:
        document.complain(policy.place, f"evb:Policy: more than {MAX_POLICY} characters and values in the package")
        return
    inner = read_document(document.file, policy.text)
    allowance.policy -= len(inner.values) + (_BROKEN if inner.diagnostics else 0)
    above = policy.end.line - policy.text.count("\n") - 1
    document.diagnostics += [diagnostic._replace(line=diagnostic.line + above) for diagnostic in inner.diagnostics]
    if inner.data is not None and not isinstance(inner.data, dict):
        document.complain(policy.place, "evb:Policy: a mapping was expected")
        return
    for key, value in (inner.data or {}).items():
        place = _below(inner.keys[(key,)], above)
        if key in _SAID_BY_CIM:
            document.complain(place, f"evb:Policy: {key!r} is said by the items and filters of the profile")
            continue
        _put(document, (key,), value, place)
    for places, known in ((document.values, inner.values), (document.keys, inner.keys)):
        places |= {path: _below(place, above) for path, place in known.items() if path and path[0] not in _SAID_BY_CIM}


def _below(place: Position, lines: int) -> Position:
    return place._replace(line=place.line + lines)


# --- the profile of a type, and its XML -----------------------------------------------------------
def profile_of(document: Document, vsi_type: VsiType) -> PortProfile:
    """The profile of a policy file that has been read and found good."""
    data: Mapping[str, Any] = document.data
    return PortProfile(
        vsi_type.key,
        " ".join(vsi_type.name.split()),
        _acl(vsi_type.from_vm) if "from_vm" in data else None,
        _acl(vsi_type.to_vm) if "to_vm" in data else None,
        {key: value for key, value in data.items() if key not in _SAID_BY_CIM},
    )


def _acl(acl: PolicyAcl) -> FilterAcl:
    return FilterAcl(
        tuple(FilterRule(rule.allow, rule.tests, " ".join(rule.description.split())) for rule in acl.rules), acl.default
    )


def profile_node(profile: PortProfile, prefix: str, vlan: int | None = None) -> MarkupNode:
    """The whole of a VSI type as a network port profile.

    Args:
        profile: the VSI type.
        prefix: ``npp:`` for a profile that stands by itself, "" for one inside a network.
        vlan: of the network that it is given for.
    """
    entries: list[MarkupNode] = [item_node(profile.key, profile.name, prefix, vlan)]
    for name, direction in _DIRECTIONS.items():
        acl = getattr(profile, name)
        entries += acl_nodes(acl, direction) if acl is not None else ()
    if profile.rest:
        entries.append(MarkupNode("evb:Policy", "\n" + "".join(f"{line}\n" for line in policy_lines(profile.rest))))
    return MarkupNode(f"{prefix}NetworkPortProfile", tuple(entries))


def item_node(key: VsiTypeKey | None, name: str, prefix: str, vlan: int | None) -> MarkupNode:
    """Return the item of a port in a profile: its VSI type and its VLAN, if any."""
    properties = {
        "ElementName": name,
        "InstanceID": 1,
        "NetworkPortProfileID": None if key is None else f"urn:evbridge:vsi-type:{key.type_id}:{key.version}",
        "NetworkPortProfileIDType": None if key is None else ID_IS_URI,
        "PortVID": vlan,
        "VSITypeID": None if key is None else key.type_id,
        "VSITypeIDVersion": None if key is None else key.version,
    }
    return MarkupNode(f"{prefix}Item", property_nodes("epasd", properties))
