"""No VSI is lost at a station or at the bridge, whenever the bridge is away or stands still relative to keep-alives.

The limit is the station's: it waits for the answer to a keep-alive for its response wait, then drops the VSI.
"""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ryu_apps.evb.protocol.timers import Operational
from tests.worlds.bridge import HV1, HV3, Vm
from tests.worlds.outages import Outages

TIMERS = Operational(r=3, rte=10, rwd=17, rka=17)
#: Seconds for which a keep-alive may wait: the station's patience, without what the answer needs.
LIMIT = TIMERS.response_wait - 0.1
#: VSIs whose keep-alives are due at different times.
VMS = {HV1: [Vm(1), Vm(2), Vm(3)], HV3: [Vm(4)]}
_APART = 0.2
#: Frames of a port that are kept, fewer than one keep-alive has.
ROOM = 2

_seconds = st.floats(0.0, 1.0).map(lambda part: round(part, 3))
#: The kind of an outage, its length as a part of the limit, the part of it with a channel, the time to the next one.
_kind = st.sampled_from(["channel", "restart", "stop", "stop with drops", "long stop"])
_outage = st.tuples(_kind, _seconds, _seconds, _seconds)


def fail(outages: Outages, kind: str, length: float, share: float) -> None:
    if kind == "channel":
        outages.lose_channel(length)
    elif kind == "restart":
        outages.restart(length)
    elif kind == "stop":
        outages.stop(length)
    elif kind == "stop with drops":
        outages.stop(length, ROOM)
    else:
        outages.stop_for_long(length * share, length * (1.0 - share))


@given(_seconds, st.lists(_outage, min_size=1, max_size=4))
@example(0.9, [("restart", 0.6, 0.0, 0.0), ("long stop", 1.0, 0.5, 1.0)])
@settings(max_examples=40, deadline=None)
def test_no_outage_shorter_than_a_response_wait_costs_a_vsi(
    phase: float, plan: list[tuple[str, float, float, float]]
) -> None:
    outages = Outages(VMS)
    for port, vms in VMS.items():
        for vm in vms:
            outages.associate(port, vm)
            outages.run(_APART)
    everything = {vm.vsi_id for vms in VMS.values() for vm in vms}
    assert outages.held == everything
    outages.run(phase * TIMERS.reinit_keep_alive)
    for kind, length, share, pause in plan:
        fail(outages, kind, length * LIMIT, share)
        # Answers take as long as four of them need one after the other.
        outages.run(0.1 + pause)
    outages.run(2 * TIMERS.keep_alive_timeout)
    assert outages.held == everything
