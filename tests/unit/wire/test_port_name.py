"""The TLV with the name of a VM's port."""

from __future__ import annotations

import pytest

from ryu_apps.evb.wire.cisco import CISCO_OUI
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.port_name import EVBRIDGE_OUI, PortName, decode
from ryu_apps.evb.wire.vdp import OrganizationalTlv


@pytest.mark.parametrize("name", ["", "t", "tap09b11c53-8b5", "vm_1.eth0"])
def test_a_name_is_written_and_read_back(name: str) -> None:
    assert decode(PortName(name).encode()) == PortName(name)


@pytest.mark.parametrize("name", ["sixteen-letters-", "tap 1", "täp", "a/b", "tap\n"])
def test_what_is_no_name_of_an_interface_is_neither_written_nor_read(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a port"):
        PortName(name)
    with pytest.raises(WireError):
        decode(OrganizationalTlv(EVBRIDGE_OUI, b"\x01" + name.encode()))


@pytest.mark.parametrize(
    "tlv", [OrganizationalTlv(CISCO_OUI, b"\x01tap1"), OrganizationalTlv(EVBRIDGE_OUI, b"\x02tap1")], ids=repr
)
def test_other_organizations_and_subtypes_are_ignored(tlv: OrganizationalTlv) -> None:
    assert decode(tlv) is None
