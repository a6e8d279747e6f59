"""Access control lists: may the VM send this, may it receive this?

Every rule is shared by all VSIs of the type.  The first ACL rule that matches decides, so each takes a
priority of its own, counting down; the matches one ACL rule expands to share it.  Fragments behind the
first have no ports: ``services.fragments`` takes them over before a rule that names one could.

What passes by default is what the bridge can look into: ARP, IPv4 and IPv6, and not behind a second tag.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Priority, Table, cookie, type_metadata
from ryu_apps.evb.policy.model import Acl, VsiType
from ryu_apps.evb.policy.rule_kinds import PLAIN_ETH_TYPES
from ryu_apps.evb.services.address_sets import SetBits, fields_of, set_bits
from ryu_apps.evb.services.base import DIRECT, Route, Service

TOP_PRIORITY = 60_000
#: Below all rules, and those that other services put beneath them.
_DEFAULT_ALLOW = Priority.DEFAULT + 1


def _compile(acl: Acl, epoch: int, direction: Direction, table: Table, route: Route, bits: SetBits) -> Iterator[Rule]:
    owner = cookie(CookieKind.TYPE_BODY, epoch)
    scope = type_metadata(epoch, direction)
    following, refused = route.after(table), route.refuse(table)
    for position, (number, rule) in enumerate(acl.numbered):
        goto = following if rule.allow else refused
        for box in rule.boxes():
            matched = match(metadata=scope, **fields_of(box, bits))
            yield Rule(table, TOP_PRIORITY - position, matched, owner, apply=route.set_rule_number(number), goto=goto)
    mark = route.set_rule_number(acl.default_number)
    for eth_type in PLAIN_ETH_TYPES if acl.default else ():
        plain = match(metadata=scope, eth_type=eth_type)
        yield Rule(table, _DEFAULT_ALLOW, plain, owner, apply=mark, goto=following)
    yield Rule(table, Priority.DEFAULT, match(metadata=scope), owner, apply=mark, goto=refused)


class AclService(Service):
    """Rules of a type's two access control lists."""

    name = "acl"
    plain = True

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        for acl, direction, table in (
            (vsi_type.from_vm, Direction.FROM_VM, Table.ACL_FROM),
            (vsi_type.to_vm, Direction.TO_VM, Table.ACL_TO),
        ):
            yield from _compile(acl, epoch, direction, table, route, set_bits(vsi_type, direction))


ACL = AclService()
