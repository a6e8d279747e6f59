"""For any groups, local VIDs and requests: a VSI is in the VLAN of its group, and reaches VSIs of that group alone."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.model import PolicySet, VsiNetwork
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.vsi.places import Place, Placed
from ryu_apps.evb.wire.filter_info import FilterEntry, FilterInfo, GroupMacVid, MacVid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, HV4, S1, S2, Vm, World, open_type, two_switches

VIDS = range(10, 15)
GROUPS = range(1, 6)
PORTS = (HV1, HV2, HV3, HV4)


class Tenant(NamedTuple):
    """A VSI: its port, its GroupID, and the VID that its station requests."""

    port: PortId
    group: int
    vid: int
    by_type: bool
    tagged_as: int


def type_of(group: int) -> VsiTypeKey:
    return VsiTypeKey(100 + group, 1)


TYPES = {type_of(0): VsiNetwork(), **{type_of(group): VsiNetwork(groups=(group,)) for group in GROUPS}}
POLICIES = PolicySet({key: replace(open_type(key), network=network) for key, network in TYPES.items()})


@st.composite
def translations(draw: st.DrawFn) -> VidTranslation:
    """Local VIDs of some VLANs; they may change places, or be VIDs that the fabric does not have."""
    moved = draw(st.lists(st.sampled_from(VIDS), unique=True))
    free = [*moved, 20, 21, 22]
    local_vids = draw(st.permutations(free))
    return VidTranslation({relay: local for relay, local in zip(moved, local_vids, strict=False) if relay != local})


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    ids = draw(st.lists(st.sampled_from(GROUPS), unique=True))
    vids = draw(st.permutations(list(VIDS)))
    groups = dict(zip(ids, vids, strict=False))
    plain = two_switches()

    def switch(known: Switch) -> Switch:
        # Stations without VLANs of their own may request every VID.
        ports = {
            number: replace(port, native_vlan=None) if port.role is Role.STATION else port
            for number, port in known.interfaces.items()
        }
        return replace(known, interfaces=ports, translation=draw(translations()))

    return replace(plain, switches={dpid: switch(plain.switches[dpid]) for dpid in (S1, S2)}, groups=groups)


tenants = st.builds(
    Tenant,
    st.sampled_from(PORTS),
    st.sampled_from(GROUPS),
    st.sampled_from([0, 0, 0, *VIDS, 20]),
    st.booleans(),
    st.sampled_from([*VIDS, 20, 21]),
)


def entry_of(tenant: Tenant, mac: int) -> FilterEntry:
    return MacVid(tenant.vid, mac) if tenant.by_type else GroupMacVid(tenant.vid, mac, tenant.group)


@settings(max_examples=60, deadline=None)
@given(fabrics(), st.lists(tenants, min_size=2, max_size=5))
def test_a_vsi_reaches_its_group_alone(fabric: Fabric, requested: list[Tenant]) -> None:
    world = World(fabric, POLICIES)
    world.connect()
    admitted: list[tuple[Tenant, Vm, int]] = []
    for number, tenant in enumerate(requested, start=1):
        vm = Vm(number, type_of(tenant.group if tenant.by_type else 0))
        world.advance(0.01)
        info = FilterInfo.of(entry_of(tenant, vm.mac))
        world.send(tenant.port, ASSOCIATIONS[VdpMode.ASSOCIATE](RequestStatus(), *vm.type, vm.vsi_id, info))
        if world.answer(tenant.port).success:
            (answer,) = world.sent[tenant.port][-1].filter_info.entries
            admitted.append((tenant, vm, answer.vid))
    relays = {
        vsi.text: {binding.vid for binding in at.bindings}
        for vsi in world.engine.registry
        for at in vsi.attachments.values()
    }
    for tenant, vm, local in admitted:
        assert relays[vm.text] == {fabric.groups[tenant.group]}
        assert fabric.vid_at(tenant.port, fabric.groups[tenant.group]) == local
        for other, target, there in admitted:
            if target is vm:
                continue
            same = other.group == tenant.group
            for vid in {local, tenant.tagged_as}:
                sent = {"eth_src": vm.mac, "eth_dst": target.mac, "eth_type": 0x0800, "vlan_vid": VLAN_PRESENT | vid}
                came = [
                    (copy.port, copy.fields["vlan_vid"]) for copy in world.carry(tenant.port, {**sent, "vlan_pcp": 0})
                ]
                passes = same and vid == local and other.port != tenant.port
                assert came == ([(other.port, VLAN_PRESENT | there)] if passes else [])


@given(fabrics(), tenants)
def test_an_answer_is_granted_again_as_it_is(fabric: Fabric, tenant: Tenant) -> None:
    place = Place.of(fabric, tenant.port)
    vsi_type = POLICIES.types[type_of(tenant.group if tenant.by_type else 0)]
    asked = FilterInfo.of(entry_of(tenant, 0x525400000001))
    placed = place.fill(asked, vsi_type)
    if isinstance(placed, Placed):
        assert asked.covers(placed.filled)
        assert place.fill(placed.filled, vsi_type) == place.placed(placed.filled) == placed
