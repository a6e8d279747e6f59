"""Text of filter entries."""

from __future__ import annotations

import pytest

from ryu_apps.evb.wire.filter_info import FilterInfo, GroupMacVid, GroupVid, MacVid, Vid
from ryu_apps.station.filter_text import filter_from_text, filter_to_text

MAC = 0x525400AA0001


@pytest.mark.parametrize(
    ("written", "entry"),
    [
        ("100", Vid(100)),
        ("0-52:54:00:aa:00:01", MacVid(0, MAC)),
        ("100--7", GroupVid(100, 7)),
        ("100-52:54:00:aa:00:01-7", GroupMacVid(100, MAC, 7)),
        ("0xb064-52:54:00:aa:00:01", MacVid(100, MAC, pcp=3, ps=True)),
    ],
)
def test_an_entry_is_read_and_written(written: str, entry: Vid | MacVid | GroupVid | GroupMacVid) -> None:
    assert filter_from_text((written,)) == FilterInfo.of(entry)
    assert filter_to_text(FilterInfo.of(entry)) == (written,)


@pytest.mark.parametrize(
    "written",
    ["", "x", "-1", "65536", "100-52:54", "1-52:54:00:aa:00:01-7-8", "100--4294967296"],
)
def test_what_is_no_entry_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        filter_from_text((written,))


@pytest.mark.parametrize("written", [(), ("100", "100-52:54:00:aa:00:01"), ("100",) * 400])
def test_what_is_no_filter_is_refused(written: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="entr"):
        filter_from_text(written)
