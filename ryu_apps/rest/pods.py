"""Pods: the request to shut the gate of a VSI for the pod that it goes to, and this pod in the status."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ryu_apps.evb.pods.status import PodStatus
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.rest.bridge import Bridge, Later, RestError
from ryu_apps.rest.numbers import INTEGRAL


class HandedOverJson(TypedDict):
    """A VSI whose gate is shut in this pod."""

    vsi: str
    shut: bool


class PeerJson(TypedDict):
    """Another pod: URL of the bridge that answered last, or null; reason why it does not answer, null: it does."""

    name: str
    urls: list[str]
    leader: str | None
    unreachable: str | None


class PodJson(TypedDict):
    """This pod, and what it knows of others."""

    name: str
    directory: Literal["there", "lost"]
    on_unreachable: str
    owned: int
    peers: list[PeerJson]


class Claimed(Strict):
    """The pod that has claimed a VSI, and the generation of its claim in the directory."""

    pod: Annotated[str, Field(min_length=1, max_length=64)]
    generation: Annotated[int, Field(ge=1, lt=1 << 63), INTEGRAL]


def hand_over(bridge: Bridge, now: float, vsi: str, body: Claimed) -> Later[HandedOverJson]:
    """Shut the gate of a VSI, for a pod that has claimed it.

    The answer comes when all switches have confirmed, and when a restart would not open it again.

    Raises:
        RestError: 404, there are no pods, or no such pod; 409, that pod has not claimed the VSI, or not last; 503, a
            switch that may have its gate is not connected.
    """
    link = bridge.pods
    if link is None or body.pod not in link.status().peers:
        raise RestError(404, f"no pod {body.pod!r} among the peers of the configuration")
    request = link.hand_over(vsi, body.pod, body.generation)
    pods = bridge.queries.pods

    def ready() -> bool:
        return request.refused or (request.decided and (pods.is_shut(vsi) or pods.is_doubtful(vsi)))

    def answer(later: float) -> HandedOverJson:
        if request.refused:
            raise RestError(409, f"VSI {vsi} is not claimed by pod {body.pod}, or was claimed since")
        if not pods.is_shut(vsi):
            raise RestError(503, f"VSI {vsi}: a switch that may have its gate is not connected")
        return {"vsi": vsi, "shut": True}

    return Later(ready, answer)


def pod_json(status: PodStatus | None) -> PodJson | None:
    """This pod; None: there are no pods."""
    if status is None:
        return None
    return {
        "name": status.name,
        "directory": "there" if status.directory else "lost",
        "on_unreachable": status.on_unreachable,
        "owned": status.owned,
        "peers": [
            {
                "name": name,
                "urls": list(status.urls[name]),
                "leader": status.leaders.get(name),
                "unreachable": status.unreachable.get(name),
            }
            for name in status.peers
        ],
    }
