"""Answers to the calls for a VSI."""

from __future__ import annotations

from ryu_apps.station.calls import Answer, Call, CallError, Verb
from ryu_apps.station.hosted import HostedVsi
from ryu_apps.station.service_events import Reply, ServiceOutput

#: Calls that wait for an answer, of one VSI.
MAX_WAITING = 64


def conflict(call: Call, vsi: HostedVsi) -> Answer | None:
    """The answer to a call that contradicts what is known of its VSI, None if it does not."""
    if call.verb is not Verb.RELEASE and call.description not in (None, vsi.description):
        return failure(call, CallError.CONFLICT, "it is here with another type or filter; release it first")
    if call.uplink not in (None, vsi.uplink):
        return failure(call, CallError.CONFLICT, f"it is at uplink {vsi.uplink}; release it first")
    if call.verb is Verb.RESERVE and vsi.busy and vsi.wanted in (Verb.ASSOCIATE, Verb.SUSPEND):
        return failure(call, CallError.CONFLICT, "it has been associated; release it first")
    if call.verb is Verb.PROBE and vsi.busy and vsi.wanted is not Verb.PROBE:
        return failure(call, CallError.CONFLICT, "it has been reserved or associated; release it first")
    if call.verb is Verb.SUSPEND and vsi.in_force in (None, Verb.PROBE, Verb.RESERVE):
        return failure(call, CallError.CONFLICT, f"it is {vsi.state}; only an associated VSI can be suspended")
    if len(vsi.waiting) >= MAX_WAITING:
        return failure(call, CallError.TOO_MANY, f"{MAX_WAITING} calls wait for this VSI already")
    return None


def failure(call: Call, error: CallError, reason: str) -> Answer:
    return Answer(error, reason, {"vsi": str(call.vsi_id)})


def failed(vsi: HostedVsi, error: CallError, reason: str) -> list[ServiceOutput]:
    """Answer every call that waits for a verb that is not in force."""
    answered = vsi.answered(lambda waiting: True)
    return [Reply(waiting.token, Answer(error, reason, vsi.to_json())) for waiting in answered]


def released(vsi: HostedVsi, confirmed: bool) -> list[ServiceOutput]:
    """Answer the calls that released it; ``confirmed``: the bridge has answered."""
    body = {"vsi": str(vsi.description.vsi_id), "state": "released", "confirmed": confirmed}
    answered = vsi.answered(lambda waiting: waiting.verb is Verb.RELEASE)
    return [Reply(waiting.token, Answer(None, "", body)) for waiting in answered]


def overdue(vsi: HostedVsi, now: float, lack: str) -> list[ServiceOutput]:
    """Answer the calls whose time is over.  What they asked for stays wanted: repeat them, or release the VSI.

    Args:
        lack: the reason why it has no port, if it lacks one.
    """
    reason = f"{lack if vsi.lacks_port else 'no answer'} in time; repeat the call, or release the VSI"
    answered = vsi.answered(lambda waiting: waiting.deadline <= now)
    return [Reply(waiting.token, Answer(CallError.DEADLINE, reason, vsi.to_json())) for waiting in answered]
