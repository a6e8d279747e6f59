"""Cookie masks that divide the rules of a mask: those without some of them, and even parts."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.rule import CookieMask
from ryu_apps.evb.pipeline.tables import GENERATION_BITS, OWNER_BITS, CookieKind, of_kind, owner_bits

_BODIES_OF_TYPES = of_kind(CookieKind.TYPE_BODY)


def without(mask: CookieMask, left_out: CookieMask) -> Iterator[CookieMask]:
    """Yield masks of the cookies that one mask covers and another does not; no two cover the same cookie.

    Args:
        left_out: covers only cookies that ``mask`` covers.
    """
    agreed = mask
    for place in reversed(range((left_out.mask & ~mask.mask).bit_length())):
        bit = 1 << place
        if left_out.mask & ~mask.mask & bit:
            yield CookieMask(agreed.cookie | ~left_out.cookie & bit, agreed.mask | bit)
            agreed = CookieMask(agreed.cookie | left_out.cookie & bit, agreed.mask | bit)


def divided(mask: CookieMask, parts: int) -> Iterator[CookieMask]:
    """Yield masks that cover what one mask covers, in parts that are about even.

    Bodies of types, of which few have many rules, are divided by their pages, and all others by their owners.

    Args:
        mask: leaves owners and pages open.
        parts: at least so many parts, as far as there are owners or pages.
    """
    if parts < 2 or not _is_within(_BODIES_OF_TYPES, mask):
        yield from _divided_by_owner(mask, parts)
        return
    for other in without(mask, _BODIES_OF_TYPES):
        yield from _divided_by_owner(other, parts)
    bits = min(max(parts - 1, 0).bit_length(), GENERATION_BITS)
    for page in range(1 << bits):
        yield CookieMask(_BODIES_OF_TYPES.cookie | page, _BODIES_OF_TYPES.mask | (1 << bits) - 1)


def _is_within(part: CookieMask, mask: CookieMask) -> bool:
    return mask.covers(part.cookie) and part.mask & mask.mask == mask.mask


def _divided_by_owner(mask: CookieMask, parts: int) -> Iterator[CookieMask]:
    """Divide by the lowest bits of the owner: owners are numbered one after the other."""
    bits = min(max(parts - 1, 0).bit_length(), OWNER_BITS)
    for number in range(1 << bits):
        yield CookieMask(mask.cookie | owner_bits(number), mask.mask | owner_bits((1 << bits) - 1))
