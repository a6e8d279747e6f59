"""Gates among the rules that a switch shows: the addresses that they are about, and where they let them in."""

from __future__ import annotations

from collections.abc import Container, Iterable

from ryu_apps.evb.flow.actions import SetField
from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Table, parse_cookie


def kind_of(rule: Rule) -> CookieKind | None:
    """The kind of a rule, by its cookie; None for a rule of another application."""
    owner = parse_cookie(rule.cookie)
    return owner.kind if owner is not None else None


def rivals(held: RuleSet, wanted: Iterable[Rule]) -> RuleSet:
    """Gates that admit frames of a VSI of which the wanted rules say that it is elsewhere."""
    wanted = tuple(wanted)
    open_here = {rule.key for rule in wanted}
    destinations = {place for rule in wanted if (place := place_of(rule, Table.FORWARD, "eth_dst"))}
    return {
        key: rule
        for key, rule in held.items()
        if key not in open_here and place_of(rule, Table.INGRESS, "eth_src") in destinations
    }


def ways(held: RuleSet) -> RuleSet:
    """The rules of gates of VSIs that are at other switches: those of which no body is here."""
    parsed = {key: parse_cookie(rule.cookie) for key, rule in held.items()}
    bodies = {owner[1:] for owner in parsed.values() if owner is not None and owner.kind is CookieKind.VSI_BODY}
    gates = {key: owner for key, owner in parsed.items() if owner is not None and owner.kind is CookieKind.GATE}
    return {key: held[key] for key, owner in gates.items() if owner[1:] not in bodies}


def places_of_gates(rules: Iterable[Rule]) -> dict[tuple[int, int], frozenset[int]]:
    """The (VID, MAC) that gates among some rules are about -> the ports at which they let it in."""
    found: dict[tuple[int, int], frozenset[int]] = {}
    for rule in rules:
        if place := place_of(rule, Table.FORWARD, "eth_dst"):
            found.setdefault(place, frozenset())
        elif place := place_of(rule, Table.INGRESS, "eth_src"):
            port_no = next(field.value for field in rule.match if field.name == "in_port")
            found[place] = found.get(place, frozenset()) | {port_no}
    return found


def place_of(rule: Rule, table: Table, address: str) -> tuple[int, int] | None:
    """The (VID, MAC) that a rule of a gate is about; None for any other rule."""
    if rule.table != table or kind_of(rule) is not CookieKind.GATE:
        return None
    fields = {field.name: field.value for field in rule.match}
    # An untagged frame is given its tag here.
    given = [action.value for action in rule.apply if isinstance(action, SetField) and action.name == "vlan_vid"]
    return (given or [fields.get("vlan_vid", 0)])[0], fields.get(address, 0)


def owners(cookies: Iterable[int], kinds: Container[CookieKind]) -> set[int]:
    """The owners of some kinds of rules, by their cookies."""
    parsed = map(parse_cookie, cookies)
    return {owner.owner for owner in parsed if owner is not None and owner.kind in kinds}
