"""The state of a bridge with 256 nodes and 8,192 VSIs, as a controller finds it in its store when it starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.model import Binding, VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.stores.opening import FILE_NAME
from ryu_apps.stores.sqlite import SqliteStore
from ryu_apps.topologies import multi_switch
from tests.worlds.bridge import Vm, World

LEAVES, SPINES, NODES, VSIS = 16, 2, 256, 8192
_POLICY = Path(__file__).parents[2] / "policies" / "web_server"
#: Agreed timers with which no VSI expires while a test runs: a keep-alive within hours.
_OPERATIONAL = (3, 10, 31, 31)
#: In place of the name of the first VSI's VM.
HOSTILE = "<img src=x onerror=alert(1)>"


def config() -> str:
    """Text of evbridge.yaml."""
    return dump_config(BridgeConfig(_fabric(), (str(_POLICY),), state_dir="state"))


def fill(folder: Path) -> None:
    """Write the state directory beside evbridge.yaml."""
    fabric = _fabric()
    (folder / "state").mkdir()
    ports = fabric.ports(Role.STATION)
    world = World(fabric=fabric, policies=_policies())
    world.connect()
    world.ask(ports[0], Vm(0, VsiTypeKey(1, 1)), VdpMode.ASSOCIATE)
    records = {key: value for key, value in world.store.items() if key.startswith(ATTACHMENT.prefix)}
    ((key, record),) = records.items()
    store = SqliteStore(folder / "state" / FILE_NAME)
    store.commit(dict(_records(key, AttachmentRecord.decode(record), list(ports))))
    store.close()


def _fabric() -> Fabric:
    return multi_switch.fabric(leaves=LEAVES, spines=SPINES, n=NODES)


def _policies() -> PolicySet:
    policies, found = load_policies([(file.name, file.read_text()) for file in _POLICY.glob("*.yaml")], SECTIONS)
    assert policies is not None, found
    return policies


def _records(key: str, first: AttachmentRecord, ports: list[PortId]) -> Iterator[tuple[str, bytes]]:
    """Records of VSIs that differ from a first one in their names, addresses and ports."""
    (entry,), program = first.newest.filter_info.entries, first.program
    assert program is not None
    prefix = key.partition(str(first.newest.vsi_id))[0]
    for number in range(VSIS):
        vm, port = Vm(number), ports[number % len(ports)]
        mac = vm.mac
        filters = replace(first.newest.filter_info, entries=(replace(entry, mac=mac),))
        address = IPv4Address("10.64.0.0") + number
        bindings = (Binding(program.binding.bindings[0].vid, mac),)
        binding = replace(program.binding, vsi_index=number + 1, bindings=bindings, addresses=(address,))
        record = replace(
            first,
            port=port,
            newest=replace(first.newest, vsi_id=vm.vsi_id, filter_info=filters),
            told=(address,),
            name=HOSTILE if number == 0 else f"vm{number}",
            program=replace(program, binding=binding),
            operational=_OPERATIONAL,
        )
        yield f"{prefix}{vm.text}@{port}", record.encode()
