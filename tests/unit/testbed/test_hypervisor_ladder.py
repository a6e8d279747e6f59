"""Steps of a ladder from what libvirt, QEMU and the station daemon have recorded."""

from __future__ import annotations

from datetime import datetime

from ryu_apps.testbed.ladder.hypervisor import recorded_steps, station_steps
from ryu_apps.testbed.ladder.model import LadderStep, Lane

VSI, OTHER = "66666666-2222-4333-8444-000000000001", "66666666-2222-4333-8444-000000000002"
LOG = f"""\
2026-11-29 11:16:38,048 ryu_apps.station_daemon.daemon INFO reserve of VSI {VSI}
2026-11-29 11:16:38,050 ryu_apps.station_daemon.daemon INFO reserve of VSI {OTHER}
2026-11-29 11:16:38,056 ryu_apps.station_daemon.daemon INFO VSI {VSI}: reserved
2026-11-29 11:16:38,057 ryu_apps.station_daemon.daemon WARNING VSI {VSI}: refused: error 2, insufficient resources
2026-11-29 11:16:39,000 ryu_apps.station_daemon.daemon WARNING uplink eth0 is down
"""


def test_a_call_is_placed_at_the_beginning_of_its_millisecond_and_an_answer_at_the_end() -> None:
    begun = datetime.fromisoformat("2026-11-29 11:16:38.048").timestamp()
    steps = list(station_steps(LOG, VSI, Lane.SOURCE, -begun))
    assert [(round(1000 * step.t), step.text) for step in steps] == [
        (0, "station: call reserve"),
        (9, "station: answer reserved"),
        (10, "station: answer refused: error 2, insufficient resources"),
    ]
    assert all(step.is_note and step.origin is Lane.SOURCE for step in steps)


def test_events_of_qemu_are_notes_and_those_of_libvirt_go_to_the_manager() -> None:
    recorded = [
        {},
        {"from": "QEMU", "domain": "vm1", "t": 1.0, "words": "STOP"},
        {"from": "libvirt", "domain": "vm1", "t": 2.0, "words": "Suspended Migrated"},
        {"from": "QEMU", "domain": "vm2", "t": 3.0, "words": "RESUME"},
    ]
    assert list(recorded_steps(recorded, "vm1", Lane.SOURCE)) == [
        LadderStep(1.0, Lane.SOURCE, Lane.SOURCE, "QEMU: STOP"),
        LadderStep(2.0, Lane.SOURCE, Lane.VCM, "Suspended Migrated"),
    ]
