"""Owners of rules in words: of every kind of cookie, and of every place of an access control list."""

from __future__ import annotations

import pytest

from ryu_apps.evb.explanation.cluster import AclView, Owners, PolicyPlace, TypeView
from ryu_apps.evb.explanation.sources import source_of
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Priority, Table, cookie
from ryu_apps.evb.services.acl import TOP_PRIORITY

FROM_VM = AclView((PolicyPlace(True, 8), PolicyPlace(False, 9)), (PolicyPlace(True, 0),), default=True)
TO_VM = AclView((PolicyPlace(False, 14),))
OWNERS = Owners(
    {(CookieKind.GATE, 5): ("vm-5",), (CookieKind.VSI_BODY, 6): ("vm-6",)},
    {3: TypeView("1/2", "web", "web.yaml", FROM_VM, TO_VM)},
    {"vm-5": "mail"},
)


def of(written: int, table: int = Table.INGRESS, priority: int = 100) -> Rule:
    return Rule(table, priority, match(in_port=1), written)


@pytest.mark.parametrize(
    ("kind", "owner", "words", "vsis"),
    [
        (CookieKind.INFRASTRUCTURE, 0, "infrastructure", ()),
        (CookieKind.GATE, 5, "gate of VSI vm-5 (mail)", ("vm-5",)),
        (CookieKind.GATE, 9, "gate of the VSI of index 9", ()),
        (CookieKind.VSI_BODY, 6, "body of VSI vm-6", ("vm-6",)),
        (CookieKind.DETOUR, 5, "rule of the move of VSI vm-5 (mail)", ("vm-5",)),
        (CookieKind.STATE, 6, "learnt for VSI vm-6", ("vm-6",)),
        (CookieKind.STATE, 9, "learnt for the VSI of index 9", ()),
        (CookieKind.STATE, 0, "learnt for end systems behind a load balancer", ()),
        (CookieKind.MEMBERSHIP, 100, "floods of VLAN 100", ()),
        (CookieKind.BOND_LINK, 11, "link in use of the bond at port 11", ()),
        (CookieKind.TYPE_BODY, 4, "body of the VSI type of epoch 4", ()),
    ],
)
def test_each_kind_of_owner_has_its_words(kind: CookieKind, owner: int, words: str, vsis: tuple[str, ...]) -> None:
    found = source_of(of(cookie(kind, owner)), OWNERS)
    assert (found.words, found.kind, found.vsis) == (words, kind.name.lower(), vsis)
    assert (found.type, found.file, found.line) == (None, None, None)


def test_a_rule_of_another_application_is_called_so() -> None:
    found = source_of(of(0x1234), OWNERS)
    assert found.words == "a rule of another application, cookie 0x1234"
    assert found.kind is None


@pytest.mark.parametrize(
    ("table", "priority", "words", "file", "line"),
    [
        (Table.ACL_FROM, TOP_PRIORITY, ", rule 1 of from_vm, web.yaml:8: allow", "web.yaml", 8),
        (Table.ACL_FROM, TOP_PRIORITY - 1, ", rule 2 of from_vm, web.yaml:9: deny", "web.yaml", 9),
        (Table.ACL_FROM, TOP_PRIORITY - 2, ", neighbour discovery, implied in from_vm: allow", None, None),
        (Table.ACL_FROM, TOP_PRIORITY - 3, "", None, None),
        (Table.ACL_FROM, Priority.DEFAULT + 1, ", default of from_vm in web.yaml: allow", "web.yaml", None),
        (
            Table.ACL_FROM,
            Priority.DEFAULT,
            ", default of from_vm in web.yaml: deny, because allow is for ARP, IPv4 and IPv6 without a second tag",
            "web.yaml",
            None,
        ),
        (Table.ACL_TO, TOP_PRIORITY, ", rule 1 of to_vm, web.yaml:14: deny", "web.yaml", 14),
        (Table.ACL_TO, Priority.DEFAULT, ", default of to_vm in web.yaml: deny", "web.yaml", None),
        (Table.METER_TO, TOP_PRIORITY, "", None, None),
    ],
)
def test_each_rule_of_a_type_has_its_place(
    table: Table, priority: int, words: str, file: str | None, line: int | None
) -> None:
    found = source_of(of(cookie(CookieKind.TYPE_BODY, 3), table, priority), OWNERS)
    assert found.words == "VSI type 1/2 (web)" + words
    assert (found.type, found.file, found.line) == ("1/2", file, line)
