"""Files of instances, and policies with them: what is understood, and every mistake at its line and column."""

from __future__ import annotations

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.ovf.collect import collect_package
from ryu_apps.ovf.instances import instances_text, load_instances
from ryu_apps.ovf.model import Package, PortNetwork, VsiAdapter

HEAD = "version: 1\nnetworks:\n  net: {vlan: 5, vsi_types: [{type_id: 7, version: 1}]}\nvsis:\n"
POLICY = "version: 1\nvsi_type: {type_id: 7, version: 1, name: web}\n"


def load(text: str) -> Package:
    package, found = load_instances("i.yaml", text)
    assert package is not None, found
    return package


def test_everything_that_can_be_said_arrives() -> None:
    package = load(
        HEAD + "  - vm: web-1\n    adapter: eth0\n    network: net\n    vsi_type: {type_id: 8, version: 2}\n"
        "    mac: 52:54:00:00:00:01\n    vlan: 6\n    vsi_id: local:00112233445566778899aabbccddeeff\n"
        "    manager_id: 4294967295\n    group_id: 0\n"
    )
    assert package.networks == (PortNetwork("net", 5, (VsiTypeKey(7, 1),)),)
    vsi_id = VsiId.from_text("local:00112233445566778899aabbccddeeff")
    assert package.vsis == (
        VsiAdapter(
            "web-1", "eth0", "net", VsiTypeKey(8, 2), 0x525400000001, 6, vsi_id, manager_id=(1 << 32) - 1, group_id=0
        ),
    )


def test_a_vsi_gets_from_its_network_what_it_does_not_say() -> None:
    (vsi,) = load(HEAD + "  - {vm: web-1, adapter: eth0, network: net}\n").vsis
    assert (vsi.vlan, vsi.vsi_type) == (5, VsiTypeKey(7, 1))


def test_a_vsi_with_a_null_vid_does_not_get_the_vlan_of_its_network() -> None:
    lines = "  - {vm: a, adapter: b, network: net, vlan: 0, mac: 52:54:00:00:00:01}\n"
    (vsi,) = load(HEAD + lines).vsis
    assert vsi.vlan == 0
    other = "  - {vm: c, adapter: d, vlan: 0, vsi_type: {type_id: 8, version: 1}, mac: 52:54:00:00:00:01}\n"
    assert [found.vlan for found in load(instances_text(load(HEAD + lines + other))).vsis] == [0, 0]
    _, mistakes = load_instances("i.yaml", HEAD + lines + lines.replace("vm: a", "vm: c"))
    assert [str(mistake) for mistake in mistakes] == ["i.yaml:6:53: 52:54:00:00:00:01 is already b of a"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1:1: file is empty"),
        ("version: 2\nvsis: []\n", "1:10: input should be 1, not 2"),
        ("version: 1\n", "1:1: missing key 'vsis'"),
        (HEAD + "  - {vm: a, adapter: b, network: nowhere}\n", "5:34: there is no network 'nowhere'"),
        (HEAD + "  - {vm: a, adapter: b, mac: 52:54}\n", "5:30: '52:54' is not a MAC address"),
        (HEAD + "  - {vm: a, adapter: b, mac: 5}\n", "5:30: a MAC address was expected, such as 52:54:00:11:22:33"),
        (HEAD + "  - {vm: a, adapter: b, vsi_id: me}\n", "5:33: 'me' is not a VSIID"),
        (HEAD + "  - {vm: a, adapter: b, vsi_id: 5}\n", "5:33: a VSIID was expected, such as a UUID"),
        (HEAD + "  - {vm: a, adapter: b, vlan: 4095}\n", "5:31: input should be less than or equal to 4094, not 4095"),
        (HEAD + "  - {vm: a, adapter: ' b'}\n", "5:22: a name was expected: text without control characters"),
        (HEAD + '  - {vm: a, adapter: "b\\a"}\n', "5:22: a name was expected: text without control characters"),
        (HEAD + "  - {vm: a, adapter: b, colour: red}\n", "5:25: unknown key 'colour'"),
        (
            HEAD + "  - {vm: a, adapter: b, mac: 52:54:00:00:00:01}\n  - {vm: c, adapter: d, mac: 52:54:00:00:00:01}\n",
            "6:30: 52:54:00:00:00:01 is already b of a",
        ),
        (
            HEAD + "  - {vm: a, adapter: b, vsi_id: 'ipv4:1.1.1.1'}\n  - {vm: c, adapter: d, vsi_id: 'ipv4:1.1.1.1'}\n",
            "6:33: VSIID ipv4:1.1.1.1 is already that of b of a",
        ),
    ],
)
def test_a_mistake_is_told_where_it_is(text: str, complaint: str) -> None:
    package, found = load_instances("i.yaml", text)
    assert package is None
    assert [str(mistake).startswith(f"i.yaml:{complaint}") for mistake in found] == [True], found


def test_one_address_in_two_vlans_is_two_addresses() -> None:
    vsis = [f"  - {{vm: a, adapter: b, vlan: {vlan}, mac: 52:54:00:00:00:01}}\n" for vlan in (1, 2)]
    package = load(HEAD + "".join(vsis))
    assert len(package.vsis) == 2


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ([("i.yaml", HEAD + "  []\n")], "i.yaml:1:1: network 'net': there is no policy for VSI type 7/1"),
        (
            [("p.yaml", POLICY), ("i.yaml", HEAD + "  []\n"), ("j.yaml", HEAD + "  []\n")],
            "j.yaml:1:1: i.yaml has the instances already",
        ),
        ([("p.yaml", POLICY.replace("web", '"w\\ab"'))], "p.yaml:1:1: the name has characters that XML cannot say"),
        (
            [("p.yaml", POLICY + 'to_vm:\n  rules:\n  - rule: {description: "\\a", actions: {allow: 1}}\n')],
            "p.yaml:5:5: the description has characters that XML cannot say",
        ),
        ([("p.yaml", POLICY + "colour: red\n")], "p.yaml:3:1: unknown key 'colour'"),
        ([("p.yaml", POLICY), ("q.yaml", POLICY)], "q.yaml:2:21: VSI type 7/1 is already defined in p.yaml"),
    ],
)
def test_what_an_envelope_cannot_say_is_refused(sources: list[tuple[str, str]], complaint: str) -> None:
    package, found = collect_package(sources)
    assert package is None
    assert complaint in [str(mistake) for mistake in found]


def test_a_vsi_whose_policy_is_elsewhere_is_a_warning() -> None:
    text = "version: 1\nvsis: [{vm: a, adapter: b, vsi_type: {type_id: 9, version: 0}}]\n"
    package, found = collect_package([("i.yaml", text)])
    assert package is not None
    assert [str(mistake) for mistake in found] == ["i.yaml:1:1: warning: b of a: there is no policy for VSI type 9/0"]
