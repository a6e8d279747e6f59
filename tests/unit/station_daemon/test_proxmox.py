"""VSIs in the notes of a Proxmox VM."""

from __future__ import annotations

import pytest

from ryu_apps.station_daemon.proxmox import vsis_of

NET0 = "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=100\n"


def test_an_interface_is_described_by_a_note_and_by_itself() -> None:
    config = "#evb net0 type=10 version=2 address=10.0.0.1,fd00%3A%3A1 vsi=local%3A1 manager=11 uplink=eth1\n" + NET0
    assert vsis_of(config) == [
        {
            "vsi": "local:1",
            "type": 10,
            "version": 2,
            "manager": "11",
            "uplink": "eth1",
            "addresses": ["10.0.0.1", "fd00::1"],
            "filters": ["100-bc:24:11:00:00:01"],
        }
    ]


@pytest.mark.parametrize(
    ("interface", "filter_entry"),
    [
        ("virtio=BC:24:11:00:00:01,bridge=vmbr0", "0-bc:24:11:00:00:01"),
        ("model=e1000,macaddr=BC:24:11:00:00:02,bridge=vmbr0,tag=7", "7-bc:24:11:00:00:02"),
    ],
)
def test_vlan_and_address_are_those_of_the_interface(interface: str, filter_entry: str) -> None:
    (vsi,) = vsis_of(f"#evb net3 type=1\nnet3: {interface}\n")
    assert vsi["filters"] == [filter_entry]
    assert vsi["vsi"] == f"mac:{filter_entry.partition('-')[2]}"


def test_other_notes_and_interfaces_without_one_are_passed_over() -> None:
    assert vsis_of("#evbridge is here\n#\n" + NET0 + "[snapshot]\n#evb net0 type=1\n") == []


@pytest.mark.parametrize(
    ("note", "mistake"),
    [
        ("evb", "'evb '"),
        ("evb net1 type=1", "net1.*no such interface"),
        ("evb name type=1", "name.*no such interface"),
        ("evb net0", "type.*missing"),
        ("evb net0 type=x", "not a number"),
        ("evb net0 type=1 colour=red", "colour"),
        ("evb net0 type", "KEY=VALUE"),
    ],
)
def test_a_mistake_is_named(note: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        vsis_of(f"#{note}\nname: web\n{NET0}")
