"""Owners of rules in words: the VSI, or the rule of a policy with its file and line.

A rule of an access control list has its position in its priority, and the epoch of its VSI type in its cookie, so
compiled rules need no place of their own.
"""

from __future__ import annotations

from typing import NamedTuple

from ryu_apps.evb.explanation.cluster import AclView, Owners, TypeView
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Cookie, CookieKind, Priority, Table, parse_cookie
from ryu_apps.evb.services.acl import TOP_PRIORITY

_ACLS = {Table.ACL_FROM: "from_vm", Table.ACL_TO: "to_vm"}


class Source(NamedTuple):
    """Source of a rule.

    Attributes:
        words: for people.
        kind: of its cookie in lower case; None: not of evbridge.
        vsis: texts of the VSIs that need it.
        type: VSI type and version; None: it belongs to no type.
        file, line: place in a policy file; None: it is none of a policy's own rules; a default has no line.
    """

    words: str
    kind: str | None = None
    vsis: tuple[str, ...] = ()
    type: str | None = None
    file: str | None = None
    line: int | None = None


def source_of(rule: Rule, owners: Owners) -> Source:
    """The source of a rule."""
    parsed = parse_cookie(rule.cookie)
    if parsed is None:
        return Source(f"a rule of another application, cookie {rule.cookie:#x}")
    vsis = _vsis(parsed, owners)
    if parsed.kind is CookieKind.TYPE_BODY:
        return _of_type(rule, owners.types.get(parsed.owner), parsed, vsis)
    return Source(_words(parsed, vsis, owners), parsed.kind.name.lower(), vsis)


def vsi_words(text: str, owners: Owners) -> str:
    """A VSI, with the name of its VM if that is known."""
    name = owners.names.get(text)
    return f"VSI {text}" + (f" ({name})" if name else "")


def vsi_of(index: int, owners: Owners) -> str | None:
    """Text of the VSI of an index, None if it is not known."""
    kinds = CookieKind.GATE, CookieKind.VSI_BODY
    found = (text for kind in kinds for text in owners.vsis.get((kind, index), ()))
    return next(found, None)


def _vsis(parsed: Cookie, owners: Owners) -> tuple[str, ...]:
    if parsed.kind in (CookieKind.STATE, CookieKind.DETOUR):
        text = vsi_of(parsed.owner, owners)
        return () if text is None else (text,)
    return owners.vsis.get((parsed.kind, parsed.owner), ())


def _words(parsed: Cookie, vsis: tuple[str, ...], owners: Owners) -> str:
    vsi = vsi_words(vsis[0], owners) if vsis else f"the VSI of index {parsed.owner}"
    match parsed.kind:
        case CookieKind.GATE:
            return f"gate of {vsi}"
        case CookieKind.VSI_BODY:
            return f"body of {vsi}"
        case CookieKind.DETOUR:
            return f"rule of the move of {vsi}"
        case CookieKind.STATE if parsed.owner:
            return f"learnt for {vsi}"
        case CookieKind.STATE:
            return "learnt for end systems behind a load balancer"
        case CookieKind.MEMBERSHIP:
            return f"floods of VLAN {parsed.owner}"
        case CookieKind.BOND_LINK:
            return f"link in use of the bond at port {parsed.owner}"
        case _:
            return "infrastructure"


def _of_type(rule: Rule, found: TypeView | None, parsed: Cookie, vsis: tuple[str, ...]) -> Source:
    kind = parsed.kind.name.lower()
    if found is None:
        return Source(f"body of the VSI type of epoch {parsed.owner}", kind, vsis)
    words = f"VSI type {found.type} ({found.name})"
    if rule.table not in _ACLS:
        return Source(words, kind, vsis, found.type)
    direction = _ACLS[Table(rule.table)]
    acl: AclView = getattr(found, direction)
    position = TOP_PRIORITY - rule.priority
    if 0 <= position < len(acl.rules):
        place = acl.rules[position]
        said = f"{words}, rule {position + 1} of {direction}, {found.file}:{place.line}: {_verdict(place.allow)}"
        return Source(said, kind, vsis, found.type, found.file, place.line)
    if 0 <= position < len(acl.rules) + len(acl.implied):
        return Source(f"{words}, neighbour discovery, implied in {direction}: allow", kind, vsis, found.type)
    if rule.priority <= Priority.DEFAULT + 1:
        said = f"{words}, default of {direction} in {found.file}: {_default(acl, rule)}"
        return Source(said, kind, vsis, found.type, found.file)
    return Source(words, kind, vsis, found.type)


def _verdict(allow: bool) -> str:
    return "allow" if allow else "deny"


def _default(acl: AclView, rule: Rule) -> str:
    if acl.default and rule.priority == Priority.DEFAULT:
        return "deny, because allow is for ARP, IPv4 and IPv6 without a second tag"
    return _verdict(acl.default)
