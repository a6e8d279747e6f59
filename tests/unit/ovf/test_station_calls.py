"""Virtual systems as calls to a station."""

from __future__ import annotations

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.ovf.model import Package, VsiAdapter
from ryu_apps.ovf.station_calls import AdapterError, calls_of
from ryu_apps.station.calls import read_call

MAC = "52:54:00:00:00:01"
UUID = "1d3e6f0a-7b1e-4a42-8a9e-3c7f3f6f0001"
KEY = VsiTypeKey(10, 2)


def adapter(name: str = "eth0", mac: str | None = MAC, **more: object) -> VsiAdapter:
    known = {"vsi_type": KEY, "mac": None if mac is None else mac_from_text(mac), **more}
    return VsiAdapter("web1", name, "net", **known)  # type: ignore[arg-type]


def package(*adapters: VsiAdapter) -> list[Package]:
    return [Package(vsis=adapters)]


def test_adapter_becomes_a_call_that_a_station_reads() -> None:
    described = adapter(vlan=100, vsi_id=VsiId.from_text(UUID), manager_id=3)
    ((name, call),) = calls_of(package(described), "web1", {"eth0": ["10.0.0.1"]})
    expected = {
        "vsi": UUID,
        "type": 10,
        "version": 2,
        "filters": [f"100-{MAC}"],
        "manager": 3,
        "addresses": ["10.0.0.1"],
    }
    assert (name, call) == ("eth0", expected)
    assert read_call({"verb": "associate", **call}).description is not None


def test_adapter_without_a_vlan_requests_a_null_vid_and_a_group_if_it_has_one() -> None:
    plain, grouped = calls_of(package(adapter(), adapter("eth1", group_id=7)), "web1")
    assert plain.call["filters"] == [f"0-{MAC}"] and grouped.call["filters"] == [f"0-{MAC}-7"]


def test_vsiid_of_an_adapter_without_one_is_the_same_each_time() -> None:
    first, other = calls_of(package(adapter(), adapter("eth1", "52:54:00:00:00:02")), "web1")
    assert first.call["vsi"] == calls_of(package(adapter()), "web1")[0].call["vsi"] != other.call["vsi"]


@pytest.mark.parametrize(
    ("adapters", "vm", "addresses", "words"),
    [
        ([adapter()], "web2", {}, "no descriptor has a virtual system 'web2'"),
        ([adapter(vsi_type=None)], "web1", {}, "eth0 of web1 has no VSI type"),
        ([adapter(mac=None)], "web1", {}, "eth0 of web1 has no address"),
        ([adapter()], "web1", {"eth9": ["10.0.0.1"]}, "web1 has no adapter 'eth9'"),
    ],
)
def test_what_cannot_be_requested_is_refused(
    adapters: list[VsiAdapter], vm: str, addresses: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(AdapterError, match=words):
        calls_of(package(*adapters), vm, addresses)
