"""Meters of rules that do not depend on VSIs: those of ports, load balancers, appliances and copies."""

from __future__ import annotations

from ryu_apps.evb.flow.rule import Meter
from ryu_apps.evb.pipeline.appliance_probes import ALL_PROBE_METERS
from ryu_apps.evb.pipeline.punting import is_of_port
from ryu_apps.evb.pipeline.tables import BALANCER_METER, COPY_METER


def is_base_meter(meter: Meter) -> bool:
    """True for a meter that evbridge has written, for what its configuration has now or had before."""
    return meter.meter_id in (BALANCER_METER, COPY_METER) or meter.meter_id in ALL_PROBE_METERS or is_of_port(meter)
