"""Section ``load_balancer`` of a policy file, and the policy made of it."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Annotated

from pydantic import Field

from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.model import Trigger
from ryu_apps.evb.policy.schema import TriggerText
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.policy.validate import Strict, Timeout

NAME = "load_balancer"

#: OpenFlow's timeouts are 16 bits of seconds.
#: The name of a load balancer of evbridge.yaml.
BalancerName = Annotated[str, Field(min_length=1, max_length=64)]


class PinTimeouts(Strict):
    """Seconds without a frame after which it is forgotten which back end has a connection."""

    opening: Timeout = 10
    idle: Timeout = 3600
    closing: Timeout = 120
    udp: Timeout = 60


class BalancerSection(Strict):
    """The VM may use the load balancers of its VLAN, and may be a back end of some."""

    backend_of: Annotated[list[BalancerName], Field(max_length=64)] = Field(default_factory=list)
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 512
    timeouts: PinTimeouts = PinTimeouts()
    trigger: TriggerText | None = None


@dataclass(frozen=True, slots=True)
class Balanced:
    """Load balancing of a VSI type.

    Attributes:
        backend_of: names of the load balancers that a VM may be a back end of.
        max_connections: those through load balancers that one VSI may have at a time.
        opening, idle, closing, udp: seconds without a frame until one is forgotten: TCP before the VM has answered
            the back end and from then on, TCP after a FIN or RST, and UDP.
        trigger: None: as the type has it.
    """

    backend_of: tuple[str, ...]
    max_connections: int
    opening: int
    idle: int
    closing: int
    udp: int
    trigger: Trigger | None = None


def _resolve(section: BalancerSection, document: Document) -> Balanced:
    times = section.timeouts
    return Balanced(
        tuple(dict.fromkeys(section.backend_of)),
        section.max_connections,
        times.opening,
        times.idle,
        times.closing,
        times.udp,
        Trigger(section.trigger) if section.trigger else None,
    )


def _meaning(value: Balanced) -> object:
    *numbers, trigger = astuple(value)
    return *numbers, trigger and trigger.value


SECTION = Section(NAME, BalancerSection, _resolve, _meaning)
