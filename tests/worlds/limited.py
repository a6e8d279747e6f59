"""A world with types that have bandwidth."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.flow.rule import Meter
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import FIRST_POLICER, Direction, policer_id
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from tests.worlds.bridge import Vm, World, two_switches

FROM, TO = Direction.FROM_VM, Direction.TO_VM

#: Types: limits in both directions; one of frames from the VM; one of frames to the VM, with statistics; minimum rates;
#: minimum rates that are higher.
BOTH, SENDING, RECEIVING, RESERVED, GREEDY = (VsiTypeKey(50 + number, 1) for number in range(5))

_BANDWIDTH = {
    BOTH: "{from_vm: {rate: 2000, burst: 200}, to_vm: {rate: 3000, burst: 300}}",
    SENDING: "{from_vm: {rate: 2000}}",
    RECEIVING: "{to_vm: {rate: 3000}}\nstatistics: {}",
    RESERVED: "{from_vm: {minimum: 400}, to_vm: {rate: 3000, minimum: 600}}",
    GREEDY: "{from_vm: {minimum: 600}, to_vm: {minimum: 601}}",
}
#: kbit/s of every port.
SPEED = 1000
SPEEDS = dict.fromkeys((1, 2, 3, 11, 12), SPEED)


def _text(key: VsiTypeKey, section: str) -> str:
    head = f"version: 1\nvsi_type: {{type_id: {key.type_id}, version: {key.version}, name: limited}}\n"
    return f"{head}bandwidth: {section}\nfrom_vm: {{default: allow}}\nto_vm: {{default: allow}}\n"


def policies() -> PolicySet:
    """Load the types above."""
    loaded, found = load_policies([(str(key), _text(key, section)) for key, section in _BANDWIDTH.items()], SECTIONS)
    assert loaded is not None, found
    return loaded


POLICIES = policies()


@dataclass
class LimitedWorld(World):
    """A world with rate limits and ports of a known speed."""

    fabric: Fabric = field(default_factory=lambda: two_switches(Timers()))
    policies: PolicySet = POLICIES
    capacity: SwitchCapacity = SwitchCapacity(speeds=SPEEDS)

    def index(self, vm: Vm) -> int:
        """Return the VSI index of the program in force of a VM."""
        vsi = self.engine.registry.named(vm.text)
        assert vsi is not None and vsi.gate_program is not None
        return vsi.gate_program.binding.vsi_index

    def limits(self, dpid: int) -> list[Meter]:
        """Return the rate limits of VSIs that a switch has."""
        return [meter for meter_id, meter in sorted(self.tables[dpid].meters.items()) if self._is_policer(meter_id)]

    def exhaust(self, dpid: int, vm: Vm, direction: Direction) -> None:
        """Exceed a limit of the program in force of a VM."""
        self.exceeded.setdefault(dpid, set()).add(policer_id(direction, self.index(vm)))

    @staticmethod
    def _is_policer(meter_id: int) -> bool:
        return FIRST_POLICER <= meter_id < 2 * FIRST_POLICER
