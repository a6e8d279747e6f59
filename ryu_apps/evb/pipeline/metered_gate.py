"""The gate of a staged VSI as a meter that every frame passes three times.

A rule that is changed does nothing to frames of a cached flow until Open vSwitch has looked at that flow again; a meter
is looked at for every frame.  So the rules of a gate are staged with the body, below the place of the gate's own rules,
and lead through a meter.  While it is shut its bucket holds one frame at the most, and a frame that passes it several
times needs several: nothing ever comes through.  Written anew with a high rate, it is open for cached flows at once.
Associate also adds the gate's own rules, which have precedence and lead past the meter.

Open vSwitch translates a frame to the end even if the meter will drop it.  What a translation changes, it would change
for a shut gate: learnt rules, and idle timeouts of those.  So these frames carry a mark, :data:`MARKED`, and a marked
frame is dropped where such a rule would be written or met.  Such frames wait for the gate's own rules.  Frames to group
addresses do not take this way: of many copies that Open vSwitch sends in its slow path only the first has the meter
before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    RegLoad,
    Resubmit,
    SetField,
)
from ryu_apps.evb.flow.match import (
    ANY_FRAGMENT,
    GROUP_BIT,
    VLAN_PRESENT,
    Match,
    MatchFields,
    match,
)
from ryu_apps.evb.flow.rule import (
    FIRST_GATE_METER,
    FIRST_OF_VSIS,
    Meter,
    Rule,
)
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.gate import to_vm_metadata
from ryu_apps.evb.pipeline.tables import (
    ALL_METADATA,
    VSI_MASK,
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    metadata,
)
from ryu_apps.evb.topology.interface import Interface

#: Before Open vSwitch 3.0 and Linux 5.13 a bucket holds rate and burst together: two frames.
PASSES = 3
#: Frames a second that pass an open gate three times, until cached flows lead past the meter.
_OPEN_RATE = 100_000_000
#: In INGRESS and FORWARD: below the gates of VSIs (and the queries of end systems), above what drops or floods.
_PRIORITY = Priority.WIDE + 10
#: In tables of state: above every rule of a body.
_STOP = Priority.GUARD + 200
#: The frame has passed the meter of a gate, which may be shut.
MARKED = Bits("reg11", 5, 1)
#: Tables that look up what was learnt, or learn.
STATEFUL_TABLES = (
    *(Table.FIREWALL_FROM, Table.FIREWALL_TO, Table.PROXY_FROM, Table.PROXY_TO),
    *(Table.BALANCE, Table.BALANCE_TO),
)
#: Tables from which fragments go on to such tables.
_BEFORE_FRAGMENTS = (Table.ACL_FROM, Table.ACL_TO)
_UNICAST = (0, GROUP_BIT)
_IP = (0x0800, 0x86DD)
_MARK: MatchFields = {"reg11": (1 << MARKED.offset, 1 << MARKED.offset)}
_INFRASTRUCTURE = cookie(CookieKind.INFRASTRUCTURE)


def gate_meter_id(number: int) -> int:
    """The meter of a number; numbers begin at 1."""
    return FIRST_GATE_METER + number


def gate_number(meter_id: int) -> int | None:
    """The number of a gate's meter; None for any other meter."""
    return meter_id - FIRST_GATE_METER if FIRST_GATE_METER < meter_id < FIRST_OF_VSIS else None


def shut(number: int) -> Meter:
    """The meter of a shut gate."""
    return Meter(gate_meter_id(number), rate=1, burst=1)


def opened(number: int) -> Meter:
    """The meter of an open gate."""
    return Meter(gate_meter_id(number), _OPEN_RATE, _OPEN_RATE)


def metered_gate(
    interface: Interface,
    binding: VsiBinding,
    epoch: int,
    entry: Table = Table.ACL_TO,
    policer: int | None = None,
    copied: bool = False,
    passed: Iterable[tuple[Match, int]] = (),
) -> Iterator[Rule]:
    """Rules that are staged with the body of a VSI; none if it has no meter.

    Args:
        interface: the station port of the VSI.
        binding: its index, generation, meter, VIDs and MAC addresses.
        epoch: policy epoch of its type.
        entry: first table of its body for frames to the VM.
        policer: meter of frames from the VM, which is behind the gate.
        copied: switches may copy frames to the VM while it moves (:mod:`ryu_apps.evb.pipeline.copies`).
        passed: matches of frames for it that have passed its appliance, and the VID that they get; copied too.
    """
    if binding.gate_meter is None:
        return
    owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
    meter = gate_meter_id(binding.gate_meter.number)
    yield _meter_rule(Table.GATE_METER, binding.vsi_index, owner, meter)
    if policer is not None:
        yield _meter_rule(Table.GATE_POLICER, binding.vsi_index, owner, policer)
    limited = () if policer is None else (Resubmit(Table.GATE_POLICER),)
    priorities = dict(binding.priorities)
    for vid_mac in binding.bindings:
        yield from _from_vm(interface, binding, epoch, vid_mac, meter, limited, priorities.get(vid_mac, 0))
        if binding.gate_meter.both:
            meta = to_vm_metadata(interface.port_no, binding.vsi_index, epoch)
            fields: MatchFields = {"vlan_vid": VLAN_PRESENT | vid_mac.vid, "eth_dst": _mac(vid_mac)}
            yield Rule(
                *(Table.FORWARD, _PRIORITY, match(**fields), owner, _metered(meta)),
                (meta, ALL_METADATA),
                goto=entry,
                meter=meter,
            )
            if copied:
                # Not goto: no table leads back to an earlier one.
                onward = (*_metered(meta), Resubmit(entry))
                yield Rule(Table.GATE_COPIES, Priority.EXACT, match(**fields), owner, onward, meter=meter)
    if binding.gate_meter.both and copied:
        meta = to_vm_metadata(interface.port_no, binding.vsi_index, epoch)
        for found, vid in passed:
            onward = (*_metered(meta), SetField("vlan_vid", VLAN_PRESENT | vid), Resubmit(Table.ACL_TO))
            yield Rule(Table.GATE_COPIES, Priority.EXACT, found, owner, onward, meter=meter)


def stops() -> Iterator[Rule]:
    """Rules of a switch with such gates: frames that have passed a meter change no state."""
    for table in STATEFUL_TABLES:
        yield Rule(table, _STOP, match(**_MARK), _INFRASTRUCTURE)
    for table in _BEFORE_FRAGMENTS:
        for eth_type in _IP:
            fragment = match(**_MARK, eth_type=eth_type, ip_frag=ANY_FRAGMENT)
            yield Rule(table, _STOP, fragment, _INFRASTRUCTURE)


def _from_vm(
    interface: Interface,
    binding: VsiBinding,
    epoch: int,
    vid_mac: Binding,
    meter: int,
    limited: tuple[Action, ...],
    default_priority: int,
) -> Iterator[Rule]:
    owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
    meta = metadata(vsi=binding.vsi_index, epoch=epoch, direction=Direction.FROM_VM)
    fields: MatchFields = {
        "in_port": interface.port_no,
        "vlan_vid": VLAN_PRESENT | vid_mac.vid,
        "eth_src": _mac(vid_mac),
        "eth_dst": _UNICAST,
    }
    apply = (*_metered(meta), *limited)
    written = (meta, ALL_METADATA)
    yield Rule(Table.INGRESS, _PRIORITY, match(**fields), owner, apply, written, Table.GUARD, meter=meter)
    if default_priority:
        # As in the gate itself: the PCP of frames without a priority of their own.
        without = match(**fields, vlan_pcp=0)
        apply = (*apply, SetField("vlan_pcp", default_priority))
        yield Rule(Table.INGRESS, _PRIORITY + 1, without, owner, apply, written, Table.GUARD, meter=meter)


def _metered(meta: int) -> tuple[Action, ...]:
    # The first pass is that of the rule itself, which a switch deletes together with its meter: a lookup that finds
    # nothing would let the frame go on.
    # The metadata here too: the rule's own instruction acts only when these lookups are done.
    return (SetField("metadata", meta), RegLoad(MARKED, 1), *([Resubmit(Table.GATE_METER)] * (PASSES - 1)))


def _meter_rule(table: Table, index: int, owner: int, meter: int) -> Rule:
    return Rule(table, Priority.DEFAULT, match(metadata=(metadata(vsi=index), VSI_MASK)), owner, meter=meter)


def _mac(vid_mac: Binding) -> int:
    assert vid_mac.mac is not None, "a VSI that owns a whole VID has no meter"
    return vid_mac.mac
