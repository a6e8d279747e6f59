"""Outputs of a bridge port: requests of its station, and what the port has learnt of it."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.protocol.evb import Agreed
from ryu_apps.evb.wire.vdp import Association, ManagerId, OrganizationalTlv


@dataclass(frozen=True, slots=True)
class AssociationReceived:
    """Association TLV from the station; ``organizational`` are the TLVs that belong to it."""

    manager_id: ManagerId
    association: Association
    organizational: tuple[OrganizationalTlv, ...]


@dataclass(frozen=True, slots=True)
class DeassociateAcknowledged:
    """Acknowledgement by the station that the bridge has ended a VSI; ``association`` is the TLV that it was sent."""

    manager_id: ManagerId
    association: Association


@dataclass(frozen=True, slots=True)
class AnswerAcknowledged:
    """Acknowledgement by the station of an answer that leaves it the VSI: only now its keep-alive timer begins."""

    association: Association


@dataclass(frozen=True, slots=True)
class Relay:
    """Reflective relay, on or off at the port from now on."""

    on: bool


@dataclass(frozen=True, slots=True)
class Known:
    """Address of the station from now on (None: not known any more); ``before`` is the previous one."""

    station: int | None
    before: int | None


PortOutput = (
    SendFrame | LogEvent | AssociationReceived | DeassociateAcknowledged | AnswerAcknowledged | Relay | Known | Agreed
)
