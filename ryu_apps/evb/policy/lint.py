"""Warnings about rules without effect: shadowed, contradicting, unreachable.

A rule is shadowed if each of its matches lies within a match of an earlier rule.  (A match that only several
earlier ones cover together is not found.)  Matches are looked up by their masks, so for ten thousand
ordinary rules the check takes no longer than reading them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ryu_apps.evb.flow.match import GROUP_BIT
from ryu_apps.evb.policy.diagnostic import Diagnostic, warning
from ryu_apps.evb.policy.fields import Masked
from ryu_apps.evb.policy.model import Acl, AclRule, MatchBox, Network, VsiType

#: Look-ups after which the search ends: reached only if every rule of a large file has its own masks.
MAX_LOOKUPS = 2_000_000

_WRONG_PROTO = {(0x0800, 58): "ICMPv6 is not carried over IPv4", (0x86DD, 1): "ICMP is not carried over IPv6"}


def lint(vsi_type: VsiType) -> list[Diagnostic]:
    """Warnings about the rules of a type's own ACLs."""
    lists = ((vsi_type.from_vm, True), (vsi_type.to_vm, False))
    return [diagnostic for acl, from_vm in lists for diagnostic in lint_acl(vsi_type, acl, from_vm)]


def lint_acl(vsi_type: VsiType, acl: Acl, from_vm: bool) -> Iterator[Diagnostic]:
    """Warnings about the rules of one direction, of an ACL or of a service."""
    yield from _shadowed(vsi_type, acl)
    for rule in acl.rules:
        for reason in _unreachable(vsi_type, rule, from_vm):
            yield warning(vsi_type.file, rule.place, reason)


@dataclass(slots=True)
class _Seen:
    """Earlier matches by their masks, each with the index of its rule."""

    by_masks: dict[tuple[tuple[str, int], ...], dict[tuple[int, ...], int]] = field(default_factory=dict)
    lookups: int = 0

    def add(self, index: int, boxes: Iterable[MatchBox]) -> None:
        for box in boxes:
            masks = tuple([(name, masked.mask) for name, masked in box])
            self.by_masks.setdefault(masks, {}).setdefault(tuple([masked.value for _, masked in box]), index)

    def covering(self, box: MatchBox) -> int | None:
        """Index of the first earlier rule that matches everything the box matches."""
        tests = dict(box)
        found: int | None = None
        self.lookups += len(self.by_masks)
        for masks, values in self.by_masks.items():
            # A generator would take longer than what it does.
            covered = []
            for name, mask in masks:
                masked = tests.get(name)
                if masked is None or masked.mask & mask != mask:
                    break
                covered.append(masked.value & mask)
            else:
                index = values.get(tuple(covered))
                if index is not None and (found is None or index < found):
                    found = index
        return found


def _shadowed(vsi_type: VsiType, acl: Acl) -> Iterator[Diagnostic]:
    seen = _Seen()
    for index, rule in enumerate(acl.rules):
        if seen.lookups > MAX_LOOKUPS:
            reason = "too many different masks: no check for shadowed rules from this rule on"
            yield warning(vsi_type.file, rule.place, reason)
            return
        boxes = list(rule.boxes())
        covers = [seen.covering(box) for box in boxes]
        if None not in covers:
            by = sorted({cover for cover in covers if cover is not None})
            yield warning(vsi_type.file, rule.place, _verdict(rule, [acl.rules[cover] for cover in by]))
        seen.add(index, boxes)
    yield from _silenced(vsi_type, acl, seen)


def _verdict(rule: AclRule, covers: list[AclRule]) -> str:
    first = covers[0]
    if first.tests == rule.tests and first.allow is not rule.allow:
        return f"contradicts the rule on line {first.place.line}: same match, opposite action; the earlier rule applies"
    lines = ", ".join(str(line) for line in sorted({cover.place.line for cover in covers})[:5])
    rules = "rule on line" if len(covers) == 1 else "rules on lines"
    against = "" if all(cover.allow is rule.allow for cover in covers) else ", with the opposite action"
    return f"shadowed by the {rules} {lines}{against}: it has no effect"


def _silenced(vsi_type: VsiType, acl: Acl, seen: _Seen) -> Iterator[Diagnostic]:
    """Warnings about rules without Ethernet type that deny ARP and neighbour discovery as well."""
    reported: set[int] = set()
    for box in (box for implied in acl.implied for box in implied.boxes()):
        index = seen.covering(box)
        if index is None or index in reported:
            continue
        reported.add(index)
        rule = acl.rules[index]
        if rule.allow or "eth_type" in dict(rule.tests):
            continue
        yield warning(
            vsi_type.file,
            rule.place,
            "denies ARP and neighbour discovery too: name an eth_type, leave it to the default, "
            "or set neighbour_discovery: false",
        )


def _unreachable(vsi_type: VsiType, rule: AclRule, from_vm: bool) -> Iterator[str]:
    tests = dict(rule.tests)
    for eth_type in tests.get("eth_type", ()):
        for proto in tests.get("ip_proto", ()):
            if (eth_type.value, proto.value) in _WRONG_PROTO:
                yield f"never matches: {_WRONG_PROTO[eth_type.value, proto.value]}"
    if not from_vm and tests.get("eth_dst") and all(_is_group(masked) for masked in tests["eth_dst"]):
        yield "never matches: a broadcast reaches each VM as a copy with the VM's own address as eth_dst"
    if from_vm and tests.get("eth_src") and all(_is_group(masked) for masked in tests["eth_src"]):
        yield "never matches: a source address is never a group address"
    if from_vm and vsi_type.anti_spoofing.ip and vsi_type.addresses:
        for name, version in (("ipv4_src", 4), ("ipv6_src", 6)):
            if name in tests and not any(_meets(masked, vsi_type.addresses, version) for masked in tests[name]):
                yield f"never matches: {name} is outside the type's addresses"


def _is_group(mac: Masked) -> bool:
    return bool(mac.mask & mac.value & GROUP_BIT)


def _meets(address: Masked, networks: tuple[Network, ...], version: int) -> bool:
    """True if anti-spoofing permits some address of a rule; it always permits link-local and unspecified ones."""
    allowed = [
        (int(network.network_address), int(network.netmask)) for network in networks if network.version == version
    ]
    allowed += [(0, (1 << 128) - 1), (0xFE80 << 112, 0x3FF << 118)] if version == 6 else [(0, (1 << 32) - 1)]
    return any(address.value & mask == value & address.mask for value, mask in allowed)
