"""Envelopes and network port profiles: what is understood, what is warned of, what is refused, and where."""

from __future__ import annotations

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.ovf.envelope import ReadFile, read_package
from ryu_apps.ovf.model import Package, PortNetwork, VsiAdapter
from ryu_apps.ovf.names import PREFIXES

NAMESPACES = "".join(f" xmlns:{prefix}='{namespace}'" for prefix, namespace in PREFIXES.items())
WEB = VsiTypeKey(7, 1)
NET = "<Network ovf:name='net'/>"


def nothing(uri: str) -> str:
    return "there is nothing"


def envelope(networks: str = "", hardware: str = "", sections: str = "", content: str = "") -> str:
    """Networks are on line 2, hardware on line 3; or sections on line 4 and content on line 5 instead of a VM."""
    inside = f"<Info/><VirtualHardwareSection><Info/>\n{hardware}</VirtualHardwareSection>"
    system = f"<VirtualSystem ovf:id='vm'>{inside}</VirtualSystem>"
    rest = f"\n\n{sections}\n{content}" if sections or content else system
    section = f"<NetworkSection><Info/>\n{networks}</NetworkSection>"
    return f"<Envelope xmlns='{PREFIXES['ovf']}'{NAMESPACES}><References/>{section}{rest}</Envelope>"


def port(**properties: object) -> str:
    return "".join(f"<epasd:{name}>{value}</epasd:{name}>" for name, value in properties.items())


def adapter(**properties: object) -> str:
    return f"<EthernetPortItem>{port(**properties)}</EthernetPortItem>"


def profile(inside: str = "", prefix: str = "", **properties: object) -> str:
    said = port(**{"ElementName": "web", "VSITypeID": 7, "VSITypeIDVersion": 1} | properties)
    return f"<{prefix}NetworkPortProfile><{prefix}Item>{said}</{prefix}Item>{inside}</{prefix}NetworkPortProfile>"


def network(inside: str, name: str = "net") -> str:
    return f"<Network ovf:name='{name}'>{inside}</Network>"


def filters(action: int = 1, direction: int = 3) -> str:
    default = "<fe:DefaultFilter>true</fe:DefaultFilter><fe:MatchConditionType>13</fe:MatchConditionType>"
    entry = f"<fe:CIM_FilterEntry><fe:Action>{action}</fe:Action>{default}</fe:CIM_FilterEntry>"
    return f"<fl:CIM_FilterList><fl:Direction>{direction}</fl:Direction>{entry}</fl:CIM_FilterList>"


def many_flow_rules() -> str:
    """A list that comes to 60,000: a little text, and much work."""
    ports = ", ".join(str(2 * number) for number in range(245))
    any_traffic = "<fe:Action>1</fe:Action><fe:MatchConditionType>1</fe:MatchConditionType>"
    entries = "".join(
        f"<fe:CIM_FilterEntry>{any_traffic}<fe:MatchConditionValue>{ports}</fe:MatchConditionValue>"
        f"<fe:OtherMatchConditionType>evbridge:{name}</fe:OtherMatchConditionType></fe:CIM_FilterEntry>"
        for name in ("tcp_src", "tcp_dst")
    )
    ipv4 = "<ip:CIM_IPHeadersFilter><ip:HdrIPVersion>4</ip:HdrIPVersion></ip:CIM_IPHeadersFilter>"
    return filters() + f"<fl:CIM_FilterList><fl:Direction>1</fl:Direction>{entries}{ipv4}</fl:CIM_FilterList>"


def read(*texts: str, fetch: ReadFile = nothing) -> tuple[Package | None, list[str]]:
    files = [(f"x{number}.xml" if number else "x.ovf", text) for number, text in enumerate(texts)]
    package, found = read_package(tuple(files), fetch, SECTIONS)
    return package, [str(mistake) for mistake in found]


def good(*texts: str, fetch: ReadFile = nothing) -> Package:
    package, found = read(*texts, fetch=fetch)
    assert package is not None, found
    return package


def mistakes(*texts: str, fetch: ReadFile = nothing) -> list[str]:
    package, found = read(*texts, fetch=fetch)
    assert package is None
    return [mistake for mistake in found if ": warning: " not in mistake]


def the_vsi(networks: str, **properties: object) -> VsiAdapter:
    (vsi,) = good(envelope(networks, adapter(ElementName="eth0", InstanceID=1, **properties))).vsis
    return vsi


# --- VSIs ------------------------------------------------------------------------------------------
def test_an_adapter_says_everything_itself() -> None:
    vsi = the_vsi(
        NET,
        Connection="net",
        Address="52:54:00:00:00:01",
        PortVID=10,
        VSITypeID=7,
        VSITypeIDVersion=1,
        ManagerID=3,
        GroupID=4,
        PortCorrelationID="mac:52:54:00:00:00:01",
    )
    assert vsi == VsiAdapter(
        "vm", "eth0", "net", WEB, 0x525400000001, 10, VsiId.from_text("mac:52:54:00:00:00:01"), manager_id=3, group_id=4
    )


def test_an_adapter_gets_from_its_network_what_it_does_not_say() -> None:
    offering = network(profile(PortVID=10, ManagerID=3, GroupID=4))
    assert the_vsi(offering, Connection="net") == VsiAdapter("vm", "eth0", "net", WEB, None, 10, None, 3, 4)
    assert the_vsi(offering, Connection="net", PortVID=11, ManagerID=0).vlan == 11
    assert the_vsi(offering, Connection="net", PortVID=11, ManagerID=0).manager_id == 0


def test_an_adapter_with_a_null_vid_is_in_the_vlan_of_its_type() -> None:
    offering = network(profile(PortVID=10))
    assert the_vsi(offering, Connection="net", PortVID=0).vlan == 0
    assert the_vsi(network(profile(PortVID=0)), Connection="net").vlan == 0


def test_of_several_profiles_an_adapter_gets_the_one_that_it_names() -> None:
    offering = network(
        profile(PortVID=10, NetworkPortProfileID="a", NetworkPortProfileIDType=2)
        + profile(PortVID=20, NetworkPortProfileID="b", NetworkPortProfileIDType=2, VSITypeID=8)
    )
    chosen = the_vsi(offering, Connection="net", NetworkPortProfileID="b", NetworkPortProfileIDType=2)
    assert (chosen.vsi_type, chosen.vlan) == (VsiTypeKey(8, 1), 20)
    typed = the_vsi(offering, Connection="net", VSITypeID=7, VSITypeIDVersion=1)
    assert (typed.vsi_type, typed.vlan) == (WEB, 10)
    neither = the_vsi(offering, Connection="net")
    assert (neither.vsi_type, neither.vlan) == (None, None)


def test_a_profile_id_of_the_type_vsi_instance_is_the_vsiid() -> None:
    text = "9f2d1f6e-0b1c-4f4e-9f59-0c7b3a1c0001"
    assert the_vsi(NET, NetworkPortProfileID=text, NetworkPortProfileIDType=4).vsi_id == VsiId.from_text(text)


def test_an_only_vlan_that_may_be_sent_to_is_the_vlan() -> None:
    assert the_vsi(NET, AllowedToTransmitVLANs=12).vlan == 12
    assert the_vsi(NET, DefaultPortVID=13).vlan == 13


def test_items_that_are_no_ethernet_adapters_and_range_markers_are_passed_over() -> None:
    cpu = "<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType></Item>"
    marker = adapter(InstanceID=2).replace("<EthernetPortItem>", "<EthernetPortItem ovf:bound='max'>")
    assert good(envelope(NET, cpu + marker)).vsis == ()


def test_virtual_systems_are_found_however_deep() -> None:
    system = (
        "<VirtualSystem ovf:id='{}'><VirtualHardwareSection>" + adapter() + "</VirtualHardwareSection></VirtualSystem>"
    )
    inner = f"<VirtualSystemCollection ovf:id='c'>{system.format('a')}</VirtualSystemCollection>"
    content = f"<VirtualSystemCollection ovf:id='d'>{inner}{system.format('b')}</VirtualSystemCollection>"
    assert [vsi.vm for vsi in good(envelope(NET, content=content)).vsis] == ["a", "b"]


def test_of_alternative_hardware_the_first_counts() -> None:
    hardware = f"{adapter(PortVID=1)}</VirtualHardwareSection><VirtualHardwareSection>{adapter(PortVID=2)}"
    assert [vsi.vlan for vsi in good(envelope(NET, hardware)).vsis] == [1]


def test_a_property_without_a_value_says_nothing() -> None:
    item = "<EthernetPortItem><epasd:PortVID xmlns:xsi='urn:x' xsi:nil='true'/></EthernetPortItem>"
    assert good(envelope(NET, item)).vsis[0].vlan is None


# --- networks and profiles -------------------------------------------------------------------------
def test_a_network_has_the_vlan_that_all_its_profiles_have() -> None:
    same = good(envelope(network(profile(PortVID=10) + profile(VSITypeID=8, PortVID=10)))).networks
    assert same == (PortNetwork("net", 10, (WEB, VsiTypeKey(8, 1))),)
    other = good(envelope(network(profile(PortVID=10) + profile(VSITypeID=8, PortVID=11)))).networks
    assert other[0].vlan is None


def test_a_profile_that_only_gives_a_vlan_is_no_vsi_type() -> None:
    package, found = read(
        envelope(network("<NetworkPortProfile><Item><epasd:PortVID>5</epasd:PortVID></Item></NetworkPortProfile>"))
    )
    assert package == Package((PortNetwork("net", 5),))
    assert found == []


def test_a_type_that_is_only_named_denies_everything_and_that_is_said() -> None:
    package, found = read(envelope(network(profile())))
    assert found == [
        "x.ovf:2:45: warning: VSI type 7/1 has no filters here: it denies everything but neighbour discovery"
    ]
    assert package is not None
    assert package.profiles[0].bare


def test_a_type_is_described_once_and_named_often() -> None:
    package, found = read(
        envelope(
            network(profile(filters())) + network(profile(ElementName="other"), "b") + profile(filters(), prefix="npp:")
        )
    )
    assert package is not None, found
    (one,) = package.profiles
    assert (one.name, one.to_vm and one.to_vm.default) == ("web", True)


def test_a_type_that_is_described_in_two_ways_is_a_mistake() -> None:
    found = mistakes(envelope(network(profile(filters(1))) + "\n" + network(profile(filters(2)), "b")))
    assert found == ["x.ovf:3:23: VSI type 7/1 is described otherwise on line 2"]


def test_an_only_document_of_profiles_is_a_package_too() -> None:
    lone = profile(filters(), prefix="npp:")
    for text in (lone, f"<npp:NetworkPortProfiles>{lone}</npp:NetworkPortProfiles>"):
        opened = text.replace(">", f"{NAMESPACES}>", 1)
        assert [profile.key for profile in good(opened).profiles] == [WEB]


def test_a_section_of_profiles_is_taken_with_a_warning() -> None:
    section = f"<NetworkPortProfileSection><Info/>{profile(filters())}</NetworkPortProfileSection>"
    package, found = read(envelope(NET, sections=section))
    assert package is not None
    assert [profile.key for profile in package.profiles] == [WEB]
    assert found == [
        "x.ovf:4:1: warning: NetworkPortProfileSection is in no schema of OVF: taken as a list of profiles"
    ]


def test_a_document_that_networks_point_to_is_read_once() -> None:
    """Read twice, its words would be more than a package may have."""
    policy = f"<evb:Policy>statistics: {{}} {'#' * 300_000}</evb:Policy>"
    document = profile(filters() + policy, prefix="npp:").replace(">", f"{NAMESPACES}>", 1)
    pointing = "<NetworkPortProfileURI>file:p.xml</NetworkPortProfileURI>"
    package = good(envelope(network(pointing) + network(pointing, "b")), fetch=lambda uri: ("p.xml", document))
    assert [network.vsi_types for network in package.networks] == [(WEB,), (WEB,)]


def test_a_document_that_is_no_profile_is_refused() -> None:
    pointing = network("<NetworkPortProfileURI>p.xml</NetworkPortProfileURI>")
    assert mistakes(envelope(pointing), fetch=lambda uri: ("p.xml", "<a/>")) == [
        "p.xml:1:1: a is no network port profile (DSP8049)"
    ]
    assert mistakes(envelope(pointing), fetch=lambda uri: ("p.xml", "<!DOCTYPE a><a/>")) == [
        "p.xml:1:12: a document type declaration is refused: it can declare entities"
    ]


def test_words_of_our_own_are_checked_at_their_own_lines() -> None:
    policy = "<evb:Policy>\nstage_on: preassociate\ntrigger: [never\n</evb:Policy>"
    assert mistakes(envelope(network(profile(policy)))) == [
        "x.ovf:5:1: not YAML: while parsing a flow sequence, did not find expected ',' or ']'"
    ]
    policy = "<evb:Policy>\nstage_on: preassociate\ntrigger:  never\ncolour: red\nversion: 1\n</evb:Policy>"
    assert mistakes(envelope(network(profile(policy)))) == [
        "x.ovf:4:11: input should be 'single' or 'dual', not 'never'",
        "x.ovf:5:1: unknown key 'colour'",
        "x.ovf:6:1: evb:Policy: 'version' is said by the items and filters of the profile",
    ]


# --- what is refused -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"Connection": "elsewhere"}, "there is no network 'elsewhere' in NetworkSection"),
        ({"Address": "52:54:00:00:00"}, "'52:54:00:00:00' is not a MAC address"),
        ({"PortVID": 4095}, "epasd:PortVID: '4095' is not a number from 0 to 4094"),
        ({"PortVID": "ten"}, "epasd:PortVID: 'ten' is not a number from 0 to 4094"),
        ({"PortVID": "9" * 5000}, "is not a number from 0 to 4094"),
        ({"ManagerID": 1 << 32}, "epasd:ManagerID: '4294967296' is not a number from 0 to 4294967295"),
        ({"VSITypeID": 7}, "VSITypeID without VSITypeIDVersion"),
        ({"VSITypeIDVersion": 7}, "VSITypeIDVersion without VSITypeID"),
        ({"VSITypeID": 7, "VSITypeIDVersion": 256}, "epasd:VSITypeIDVersion: '256' is not a number from 0 to 255"),
        ({"PortCorrelationID": "one"}, "'one' is not a VSIID"),
        (
            {
                "PortCorrelationID": "9f2d1f6e-0b1c-4f4e-9f59-0c7b3a1c0001",
                "NetworkPortProfileID": "9f2d1f6e-0b1c-4f4e-9f59-0c7b3a1c0002",
                "NetworkPortProfileIDType": 4,
            },
            "VSIID 9f2d1f6e-0b1c-4f4e-9f59-0c7b3a1c0002, and 9f2d1f6e-0b1c-4f4e-9f59-0c7b3a1c0001 on line 3",
        ),
        ({"NetworkPortProfileID": "x"}, "there is no network port profile 'x' here"),
        ({"AllowedToTransmitMACAddresses": "52:54:00:00:00:09"}, "52:54:00:00:00:09 is not the port's own address"),
        ({"PortVID": 5, "AllowedToReceiveVLANs": 6}, "6 is not the port's own VLAN, and a VSI has one VLAN here"),
        ({"Promiscuous": "maybe"}, "epasd:Promiscuous: 'maybe' is neither true nor false"),
        ({"VSITypeIdentifier": 7}, "epasd:VSITypeIdentifier is not known here"),
        ({"ElementName": "x" * 1001}, "epasd:ElementName: text longer than 1000 characters"),
    ],
)
def test_what_an_adapter_cannot_say_is_told_at_its_line(said: dict[str, object], complaint: str) -> None:
    (found,) = mistakes(envelope(NET, adapter(**said)))
    assert found.startswith("x.ovf:3:")
    assert complaint in found


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"Reservation": 1}, "Reservation is not taken over: no bandwidth is reserved"),
        ({"Limit": 1}, "Limit is not taken over: no bandwidth is limited"),
        ({"Weight": 1}, "Weight is not taken over: bandwidth is not shared by weight"),
        ({"ReceiveBandwidthLimit": 1}, "ReceiveBandwidthLimit is not taken over: no bandwidth is limited"),
        ({"ReceiveBandwidthReservation": 1}, "ReceiveBandwidthReservation is not taken over: no bandwidth is reserved"),
        ({"DefaultPriority": 1}, "DefaultPriority is not taken over: no frame is given a priority"),
        ({"AllowedPriorities": 1}, "AllowedPriorities is not taken over: a rule with vlan_pcp says as much"),
        ({"Promiscuous": "true"}, "Promiscuous is not taken over: a VSI gets its own frames only"),
        (
            {"SourceMACFilteringEnabled": "false"},
            "SourceMACFilteringEnabled is not taken over: the source address is always",
        ),
        ({"DesiredVLANEndpointMode": 3}, "VLAN endpoint mode 3 is not taken over"),
    ],
)
def test_what_is_asked_for_and_not_to_be_had_is_a_warning(said: dict[str, object], complaint: str) -> None:
    _, found = read(envelope(NET, adapter(VSITypeID=7, VSITypeIDVersion=1, **said)))
    assert any(mistake.startswith("x.ovf:3:") and f": warning: {complaint}" in mistake for mistake in found), found


@pytest.mark.parametrize("said", [{"Reservation": 0}, {"Promiscuous": "false"}, {"SourceMACFilteringEnabled": "true"}])
def test_what_is_asked_for_and_is_so_anyway_is_no_warning(said: dict[str, object]) -> None:
    _, found = read(envelope(network(profile(filters())), adapter(VSITypeID=7, VSITypeIDVersion=1, **said)))
    assert found == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<a/>", "1:1: a is neither an OVF envelope nor a network port profile (DSP8049)"),
        (envelope("<Network/>"), "2:1: Network needs an attribute name"),
        (envelope(NET + NET), "2:26: network 'net' is already described"),
        (
            envelope(network("<Oops/>")),
            "2:25: Oops is not known here, and is not said to be dispensable (ovf:required)",
        ),
        (envelope("<Oops/>"), "2:1: Oops is not known here"),
        (envelope(network("<Description>" + "x" * 1001 + "</Description>")), "2:25: text longer than 1000 characters"),
        (envelope(network("", "x" * 1001)), "2:1: name longer than 1000 characters"),
        (envelope(NET, sections="<ShapingSection/>"), "4:1: ShapingSection is not known here"),
        (envelope(NET, content="<VirtualSystem/>"), "5:1: VirtualSystem needs an attribute id"),
        (
            envelope(NET, content="<VirtualSystem ovf:id='a'/><VirtualSystem ovf:id='a'/>"),
            "5:28: there is a virtual system 'a' on line 5 already",
        ),
        (envelope(NET, content="<VirtualSystem ovf:id='a'><Oops/></VirtualSystem>"), "5:27: Oops is not known here"),
        (
            envelope(NET, adapter(PortVID="5</epasd:PortVID><epasd:PortVID>6")),
            "epasd:PortVID is already given on line 3",
        ),
        (envelope(NET, adapter(InstanceID=1) * 2), "adapter 1 is already described on line 3"),
        (
            envelope(NET, adapter(Address="02:00:00:00:00:01", PortVID=5) * 2),
            "02:00:00:00:00:01 is already adapter of vm in VLAN 5",
        ),
        (
            envelope(network(profile(filters(), VSITypeID="", VSITypeIDVersion=""))),
            "a profile with filters is that of one VSI type (VSITypeID), not of 0",
        ),
        (
            envelope(network(profile("<Item><epasd:VSITypeID>8</epasd:VSITypeID></Item>" + filters()))),
            "VSITypeID without VSITypeIDVersion",
        ),
        (envelope(network(profile(filters() + filters(1, 1)))), "a default is already given on line 2"),
        (envelope(network(profile("<evb:Policy/><evb:Policy/>"))), "a second evb:Policy"),
        (envelope(network(profile("<evb:Policy>[1]</evb:Policy>"))), "evb:Policy: a mapping was expected"),
        (
            envelope(network(profile("<evb:Policy>" + "#" * 500_001 + "</evb:Policy>"))),
            "evb:Policy: more than 500000 characters and values in the package",
        ),
        (
            envelope(network("".join(profile(many_flow_rules(), VSITypeID=number) for number in range(9)))),
            "the filters of the package come to more than 500000 flow rules",
        ),
        (envelope(network(profile(ElementName="x" * 65))), "string should have at most 64 characters"),
        (
            envelope(
                network(
                    profile(NetworkPortProfileID="p") + profile(NetworkPortProfileID="p", VSITypeID=8, ElementName="b")
                )
            ),
            "profile p is another VSI type on line 2",
        ),
    ],
)
def test_an_envelope_that_cannot_be_mapped_is_refused(text: str, complaint: str) -> None:
    found = mistakes(text)
    assert len(found) == 1, found
    assert complaint in found[0]


def test_there_is_one_envelope_at_a_time() -> None:
    assert mistakes(envelope(NET), envelope(network("", "b"))) == [
        "x1.xml:1:1: a second envelope: import them one by one"
    ]


def test_what_may_be_ignored_is_ignored() -> None:
    section = "<ShapingSection ovf:required='false'><Oops/></ShapingSection>"
    assert read(envelope(NET, sections=section))[1] == []


@pytest.mark.parametrize(
    ("hardware", "complaint"),
    [
        (adapter(), "adapter of vm has no VSI type: nothing says which policy is its own"),
        (
            adapter(VSITypeID=9, VSITypeIDVersion=1),
            "VSI type 9/1 is not described here: its policy has to come from elsewhere",
        ),
        (
            adapter().replace("<EthernetPortItem>", "<EthernetPortItem ovf:configuration='big'>"),
            "taken over, although only of configuration 'big'",
        ),
        (
            "</VirtualHardwareSection><VirtualHardwareSection>" + adapter(InstanceID=1),
            "alternative hardware is not looked at",
        ),
    ],
)
def test_what_an_operator_should_know_is_a_warning(hardware: str, complaint: str) -> None:
    package, found = read(envelope(NET, hardware))
    assert package is not None
    assert any(mistake.startswith("x.ovf:3:") and f": warning: {complaint}" in mistake for mistake in found), found
