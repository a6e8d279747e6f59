"""Controller roles: the messages, and a request in progress (OpenFlow 1.3, 6.3.5 and 7.3.9).

That a connection has been made a SLAVE is a message of OpenFlow 1.4; for 1.3, Open vSwitch sends the ONF's (EXT-191).
"""

from __future__ import annotations

import struct
from functools import partial

from ryu.ofproto import ofproto_common as common
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import RequestRole
from ryu_apps.evb.events.switch import ControllerRole, RoleRefused, RoleShown
from ryu_apps.southbound.decode import SwitchError
from ryu_apps.southbound.encode import message
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import numbered

_BODY = struct.Struct("!I4xQ")
#: What a switch shows that has not been told a generation (Open vSwitch).
_UNDEFINED = (1 << 64) - 1
#: The ONF's message for OpenFlow 1.3: experimenter and type; then the body of OFPT_ROLE_STATUS, the role first.
_STATUS = struct.pack("!II", common.ONF_EXPERIMENTER_ID, 1911)
_STATUS_ROLE = slice(16, 20)
_SLAVE = ofp.OFPCR_ROLE_SLAVE.to_bytes(4)
#: Errors by type and code.
IS_SLAVE = (ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_IS_SLAVE)
_STALE = (ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_STALE)
_IS_SLAVE_OCTETS = struct.pack("!HH", *IS_SLAVE)


def role_request(role: ControllerRole, generation: int, xid: int) -> bytes:
    """Ask for a role."""
    return numbered(message(ofp.OFPT_ROLE_REQUEST, _BODY.pack(role.value, generation)), xid)


def demotes(octets: bytes) -> bool:
    """Return True if a message says that this connection has become a SLAVE, or is one."""
    if octets[1] == ofp.OFPT_ERROR:
        return octets[8:12] == _IS_SLAVE_OCTETS
    return octets[1] == ofp.OFPT_EXPERIMENTER and octets[8:16] == _STATUS and octets[_STATUS_ROLE] == _SLAVE


class RoleJob(Job):
    """A request for a role."""

    def __init__(self, wire: Transport, asked: RequestRole) -> None:
        super().__init__(wire, asked.dpid, 0)
        self._asked = asked

    def send(self) -> None:
        self.ask(partial(role_request, self._asked.role, self._asked.generation))
        self.all_sent = True

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        role, generation = _BODY.unpack_from(octets, ofp.OFP_HEADER_SIZE)
        shown = None if generation == _UNDEFINED else generation
        # An answer that stays away is asked for again, so a role of no known kind is no answer.
        if role in {known.value for known in ControllerRole}:
            self.outcome = self.outcome or RoleShown(self.dpid, ControllerRole(role), shown)

    def refused(self, flight: SentRequest, xid: int, error: SwitchError) -> None:
        self.outcome = self.outcome or RoleRefused(self.dpid, error.number == _STALE, error.text)
