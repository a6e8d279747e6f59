"""VSI Manager IDs as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.wire.manager_text import manager_from_text, manager_text
from ryu_apps.evb.wire.vdp import ManagerId


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        ("vcm1", b"vcm1".hex() + "00" * 12),
        ("deadbeef", "deadbeef" + "00" * 12),
        ("dead-beef", "deadbeef" + "00" * 12),
        ("12", "12" + "00" * 15),
        (12, "00" * 15 + "0c"),
        (0, "00" * 16),
        ("::", "00" * 16),
        ("10.0.0.5", "00" * 10 + "ffff0a000005"),
        ("fd00::5", "fd00" + "00" * 13 + "05"),
        ("01234567-89ab-cdef-0123-456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("sixteen-octets.x", b"sixteen-octets.x".hex()),
    ],
)
def test_each_way_to_write_one(written: str | int, octets: str) -> None:
    assert manager_from_text(written).octets.hex() == octets
    assert manager_from_text(manager_text(manager_from_text(written))).octets.hex() == octets


@pytest.mark.parametrize("written", ["", "abc", "-", "seventeen.octets.", "zwölf", "two words", 256, -1, "00" * 17])
def test_what_is_none(written: str | int) -> None:
    with pytest.raises(ValueError, match=r"Manager ID|octet|is not an address"):
        manager_from_text(written)


@given(st.binary(min_size=16, max_size=16) | st.binary(max_size=16).map(lambda octets: octets.ljust(16, b"\0")))
def test_every_manager_id_can_be_written(octets: bytes) -> None:
    assert manager_from_text(manager_text(ManagerId(octets))) == ManagerId(octets)
