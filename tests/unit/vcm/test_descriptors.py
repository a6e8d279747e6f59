"""Descriptors: what an inventory gets from OVF, and what a hypervisor is given of it."""

from __future__ import annotations

import pytest

from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.ovf.instances import load_instances
from ryu_apps.ovf.writer import write_envelope
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.definitions import VmDefinitions
from ryu_apps.vcm.descriptors import VmDescriptor, read_descriptors
from ryu_apps.vcm.loader import Loaded, load_inventory, ovf_places

INSTANCES = """\
version: 1
networks:
  front: {}
  back: {vlan: 200}
vsis:
  - {vm: web1, adapter: eth0, network: front, vsi_type: {type_id: 7, version: 2}, mac: "52:54:00:aa:00:01", group_id: 5}
  - {vm: db1, adapter: eth0, network: back, vsi_type: {type_id: 8, version: 1}, mac: "52:54:00:aa:00:02",
     vsi_id: 52540000-0000-4000-8000-000000000007}
"""
INVENTORY = """\
version: 1
name: small
ovf: [front.ovf]
switches: {s1: {}}
nodes: {hv1: {switch: s1, slots: 4, memory_mib: 4096}}
vms:
  web1: {at: hv1, memory_mib: 512}
  db1: {at: hv1, memory_mib: 512}
"""


def nowhere(uri: str) -> str:
    return f"{uri} is not here"


def described(*files: tuple[str, str]) -> tuple[dict[str, VmDescriptor], list[Diagnostic]]:
    return read_descriptors(files, {file: nowhere for file, _ in files}, SECTIONS)


def envelope(instances: str = INSTANCES) -> str:
    package, found = load_instances("instances.yaml", instances)
    assert package is not None, found
    return write_envelope(package)


def loaded(text: str = INVENTORY, instances: str = INSTANCES) -> tuple[Loaded | None, list[str]]:
    descriptors, _ = described(("front.ovf", envelope(instances)))
    found, diagnostics = load_inventory("inventory.yaml", text, None, descriptors)
    return found, list(map(str, diagnostics))


def test_places_are_read_before_the_inventory_is_checked() -> None:
    assert ovf_places("inventory.yaml", INVENTORY) == ("front.ovf",)
    assert ovf_places("inventory.yaml", "ovf: [1, a]") == ("a",)
    assert ovf_places("inventory.yaml", "- 1") == ovf_places("inventory.yaml", "{") == ()


def test_an_inventory_gets_what_it_leaves_out_from_the_descriptor() -> None:
    found, mistakes = loaded()
    assert found is not None and mistakes == []
    web, db = (found.inventory.vms[name].interface for name in ("web1", "db1"))
    assert (web.type_id, web.version, web.mac, web.filter) == (7, 2, "52:54:00:aa:00:01", "0-52:54:00:aa:00:01-5")
    assert (db.filter, db.vsi) == ("200-52:54:00:aa:00:02", "52540000-0000-4000-8000-000000000007")


def test_without_a_descriptor_the_missing_attributes_are_mistakes() -> None:
    found, mistakes = load_inventory("inventory.yaml", INVENTORY)
    assert found is None
    assert any("vms.web1.mac" in str(mistake) or "mac" in str(mistake) for mistake in mistakes)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('mac: "52:54:00:aa:00:09"', "52:54:00:aa:00:01 in front.ovf"),
        ("type: 9", "7 in front.ovf"),
        ("version: 9", "2 in front.ovf"),
        ("group_id: 6", "5 in front.ovf"),
    ],
)
def test_a_contradiction_is_named_with_its_place(written: str, reason: str) -> None:
    text = INVENTORY.replace("web1: {at: hv1,", f"web1: {{at: hv1, {written},")
    found, mistakes = loaded(text)
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "web1:" in row)
    assert found is None and len(mistakes) == 1
    assert mistakes[0].startswith(f"inventory.yaml:{line}:") and mistakes[0].endswith(reason)


def test_a_hypervisor_requests_what_the_descriptor_says_and_no_other_vm() -> None:
    found, _ = loaded()
    assert found is not None
    text = found.inventory.vms["web1"].ovf
    definitions = VmDefinitions("hv1")
    with pytest.raises(TestbedError, match="hv1 has no descriptor of web1"):
        definitions.vsis("web1", [None])
    definitions.accept("web1", text)
    (vsi,) = definitions.vsis("web1", ["10.0.0.1"])
    face = found.inventory.vms["web1"].interface
    assert (vsi.uuid, vsi.type_id, vsi.version, vsi.filters) == (face.vsi, 7, 2, (face.filter,))
    assert "db1" not in text and "back" not in text


@pytest.mark.parametrize("text", ["<Envelope/>", "rubbish", ""])
def test_a_hypervisor_refuses_what_describes_no_vm(text: str) -> None:
    with pytest.raises(TestbedError, match="hv1: "):
        VmDefinitions("hv1").accept("web1", text)


def test_a_hypervisor_refuses_the_descriptor_of_another_vm() -> None:
    found, _ = loaded()
    assert found is not None
    with pytest.raises(TestbedError, match=r"web1\.ovf has no adapter"):
        VmDefinitions("hv1").accept("web1", found.inventory.vms["db1"].ovf)


def test_what_describes_a_vm_twice_is_a_mistake() -> None:
    _, found = described(("one.ovf", envelope()), ("two.ovf", envelope()))
    told = [
        diagnostic.reason for diagnostic in found if diagnostic.file == "two.ovf" and "already" in diagnostic.reason
    ]
    assert told == ["web1 is already described in one.ovf", "db1 is already described in one.ovf"]


# --- several adapters
SECOND = """\
  - {vm: web1, adapter: eth1, network: back, vsi_type: {type_id: 8, version: 1}, mac: "52:54:00:aa:00:03"}
"""


def test_each_adapter_is_an_interface_with_a_vsi_of_its_own() -> None:
    found, mistakes = loaded(instances=INSTANCES + SECOND)
    assert found is not None and mistakes == []
    web = found.inventory.vms["web1"]
    first, second = web.interfaces
    assert (first.filter, first.vsi_type) == ("0-52:54:00:aa:00:01-5", (7, 2))
    assert (second.filter, second.vsi_type) == ("200-52:54:00:aa:00:03", (8, 1))
    assert first.vsi != second.vsi
    assert loaded()[0].inventory.vms["web1"].interface == first, "a second one leaves the first as it was"  # type: ignore[union-attr]
    definitions = VmDefinitions("hv1")
    definitions.accept("web1", web.ovf)
    vsis = definitions.vsis("web1", ["10.0.0.1", None])
    assert [(vsi.uuid, vsi.filters, vsi.ip) for vsi in vsis] == [
        (first.vsi, (first.filter,), "10.0.0.1"),
        (second.vsi, (second.filter,), None),
    ]
    assert "db1" not in web.ovf


@pytest.mark.parametrize(
    ("interfaces", "reason"),
    [
        ("[{addresses: [10.0.1.1]}]", ""),
        ("[{vlan: 201}]", "200 in front.ovf"),
        ("[{}, {mac: '52:54:00:aa:00:04', vlan: 3, type: 1, version: 1}]", "web1 has 2 adapters in front.ovf"),
        ("[{mac: '52:54:00:aa:00:02'}]", "52:54:00:aa:00:02 is already the one of web1"),
    ],
)
def test_what_an_inventory_says_of_further_interfaces_has_to_agree(interfaces: str, reason: str) -> None:
    text = INVENTORY.replace("web1: {at: hv1,", f"web1: {{at: hv1, interfaces: {interfaces},")
    found, mistakes = loaded(text, INSTANCES + SECOND)
    assert (found is None) is bool(reason)
    assert any(mistake.endswith(reason) for mistake in mistakes) if reason else mistakes == []


def test_an_inventory_without_descriptors_has_further_interfaces_too() -> None:
    first = "mac: '52:54:00:aa:00:01', vlan: 100, type: 1, version: 1"
    more = "interfaces: [{mac: '52:54:00:aa:00:02', vlan: 200, type: 9, version: 1}]"
    text = f"""\
version: 1
name: small
switches: {{s1: {{}}}}
nodes: {{hv1: {{switch: s1, slots: 4, memory_mib: 4096}}}}
vms: {{web1: {{at: hv1, memory_mib: 512, {first}, {more}}}}}
"""
    found, _ = load_inventory("inventory.yaml", text)
    assert found is not None
    assert [face.filter for face in found.inventory.vms["web1"].interfaces] == [
        "100-52:54:00:aa:00:01",
        "200-52:54:00:aa:00:02",
    ]
    refused, mistakes = load_inventory("inventory.yaml", text, {(1, 1)})
    assert refused is None
    assert [mistake.reason for mistake in mistakes] == ["there is no VSI type 9/1"]
