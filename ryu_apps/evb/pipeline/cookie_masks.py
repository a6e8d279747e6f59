"""Cookie masks that divide the rules of a mask: those without some of them, and even parts."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.rule import CookieMask
from ryu_apps.evb.pipeline.tables import OWNER_BITS, owner_bits


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
    """Yield masks that cover what one mask covers, divided by the lowest bits of the owner.

    Owners are numbered one after the other, so the parts are about even.

    Args:
        mask: leaves these bits open.
        parts: at least so many parts, as far as there are owners.
    """
    bits = min(max(parts - 1, 0).bit_length(), OWNER_BITS)
    for number in range(1 << bits):
        yield CookieMask(mask.cookie | owner_bits(number), mask.mask | owner_bits((1 << bits) - 1))
