"""Masks that divide the rules of a mask: together they cover what they should, and no cookie twice."""

from __future__ import annotations

from itertools import product

import pytest

from ryu_apps.evb.flow.rule import CookieMask
from ryu_apps.evb.pipeline.cookie_masks import divided, without
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, cookie, of_kind, owned_by

COOKIES = [cookie(kind, owner, owner) for kind, owner in product(CookieKind, range(40))]
#: Cookies of kinds that this version does not know are ours too.
UNKNOWN = [OURS.cookie | kind << 44 for kind in (0, 9, 15)]


def covering(masks: list[CookieMask], value: int) -> int:
    return sum(mask.covers(value) for mask in masks)


@pytest.mark.parametrize("kind", CookieKind)
def test_all_but_one_kind(kind: CookieKind) -> None:
    masks = list(without(OURS, of_kind(kind)))
    assert len(masks) == 4
    for value in (*COOKIES, *UNKNOWN):
        assert covering(masks, value) == (not of_kind(kind).covers(value))
    assert not covering(masks, 0x1234)


def test_all_but_one_owner() -> None:
    left_out = owned_by(CookieKind.STATE, 7, 7)
    masks = list(without(OURS, left_out))
    assert all(covering(masks, value) == (value != left_out.cookie) for value in COOKIES)


@pytest.mark.parametrize(("wanted", "parts"), [(-1, 1), (0, 1), (1, 1), (2, 2), (3, 4), (8, 8), (9, 16)])
@pytest.mark.parametrize("mask", [of_kind(CookieKind.VSI_BODY), *without(OURS, of_kind(CookieKind.TYPE_BODY))])
def test_parts_are_even(wanted: int, parts: int, mask: CookieMask) -> None:
    masks = list(divided(mask, wanted))
    covered = [value for value in COOKIES if mask.covers(value)]
    assert len(masks) == parts
    assert all(covering(masks, value) == 1 for value in covered)
    assert not any(covering(masks, value) for value in (*COOKIES, 0x1234) if not mask.covers(value))
    sizes = [sum(part.covers(value) for value in covered) for part in masks]
    assert max(sizes) - min(sizes) <= len(CookieKind)


@pytest.mark.parametrize("mask", [OURS, of_kind(CookieKind.TYPE_BODY), *without(OURS, of_kind(CookieKind.STATE))])
def test_all_kinds_are_covered_once_and_bodies_of_types_by_their_pages(mask: CookieMask) -> None:
    pages = [cookie(CookieKind.TYPE_BODY, 7, page) for page in range(100)]
    masks = list(divided(mask, 16))
    for value in (*COOKIES, *UNKNOWN, *pages):
        assert covering(masks, value) == mask.covers(value)
    # A policy of 10,000 rules has one owner: an audit would hold its switch for 13 ms.
    assert max(sum(map(part.covers, pages)) for part in masks) <= 7
