"""The REST resources as a table: method, path, view, parameters of the query, and model of the body.

``{name}`` in a path is one segment; ``parameters.READERS`` has the reader of each name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_apps.evb.policy.validate import Strict
from ryu_apps.metrics import CONTENT_TYPE
from ryu_apps.rest.bridge import Bridge, PlainText, RestError
from ryu_apps.rest.flows import flows
from ryu_apps.rest.history import events, migration, migrations
from ryu_apps.rest.load_balancers import Judgement, judge, load_balancer, load_balancers
from ryu_apps.rest.multicast import multicast
from ryu_apps.rest.parameters import read
from ryu_apps.rest.reservations import reservations
from ryu_apps.rest.sets import sets
from ryu_apps.rest.stations import stations
from ryu_apps.rest.statistics import Base, all_statistics, populate, statistics
from ryu_apps.rest.status import status
from ryu_apps.rest.tokens import Role
from ryu_apps.rest.vsis import deassociate, vsi, vsis
from ryu_apps.rest.vsitypes import policy, reload, vsitype, vsitypes


def metrics(bridge: Bridge, now: float) -> PlainText:
    """All counters, for Prometheus."""
    return PlainText(CONTENT_TYPE, bridge.metrics.exposition())


@dataclass(frozen=True, slots=True)
class Resource:
    """One row.

    Attributes:
        view: called with the bridge, the time, and the parameters by name; returns a JSON value, an
            iterator of them (a long list), a :class:`~ryu_apps.rest.bridge.Reply`, a :class:`PlainText`, or a
            :class:`~ryu_apps.rest.bridge.Later` for any of these.
        query: parameters of the query, each optional.
        body: model of the body, which the view gets as ``body``.
        role: what a client's token has to allow, where tokens are needed.
    """

    method: str
    path: str
    view: Callable[..., object]
    query: tuple[str, ...] = ()
    body: type[Strict] | None = None
    role: Role = Role.READ
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        segments = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        object.__setattr__(self, "pattern", re.compile(segments + r"\Z"))


RESOURCES = (
    Resource("GET", "/evb/status", status),
    Resource("GET", "/evb/vsitypes", vsitypes),
    Resource("POST", "/evb/vsitypes/reload", reload, role=Role.ADMIN),
    # Before the next row, which would take the suffix for a part of the version.
    Resource("GET", "/evb/vsitypes/{type_id}/{version}.yaml", policy),
    Resource("GET", "/evb/vsitypes/{type_id}/{version}", vsitype, query=("manager",)),
    Resource("GET", "/evb/vsitypes/{type_id}/{version}/policy", policy),
    Resource("GET", "/evb/vsis", vsis),
    Resource("GET", "/evb/vsis/{vsi}", vsi),
    Resource("DELETE", "/evb/vsis/{vsi}", deassociate, role=Role.OPERATE),
    Resource("GET", "/evb/flows/{dpid}", flows, query=("state", "vsi")),
    Resource("GET", "/evb/reservations", reservations),
    Resource("GET", "/evb/stations", stations),
    Resource("GET", "/evb/multicast", multicast),
    Resource("GET", "/evb/sets", sets),
    Resource("GET", "/evb/load_balancers", load_balancers),
    Resource("GET", "/evb/load_balancers/{balancer}", load_balancer),
    Resource("PUT", "/evb/load_balancers/{balancer}/backends/{backend}", judge, body=Judgement, role=Role.OPERATE),
    Resource("GET", "/evb/migrations", migrations, query=("vsi",)),
    Resource("GET", "/evb/migrations/{number}", migration),
    Resource("GET", "/evb/statistics", all_statistics, query=("fresh",)),
    Resource("GET", "/evb/statistics/{vsi}", statistics, query=("fresh",)),
    Resource("PUT", "/evb/statistics/{vsi}", populate, body=Base, role=Role.OPERATE),
    Resource("GET", "/evb/events", events, query=("since",)),
    Resource("GET", "/metrics", metrics),
)


def required_role(method: str, path: str) -> Role:
    """The role that a request needs: that of its resource.

    Another path is perhaps that of another Ryu app, which may write any rule.
    """
    resources = [resource for resource, _ in _at(path)]
    found = next((resource for resource in resources if resource.method == _as_listed(method)), None)
    if found is not None:
        return found.role
    # To be answered 404 or 405.
    return Role.READ if resources or path.startswith("/evb/") else Role.ADMIN


class Called(NamedTuple):
    """View of a request, its parameters, and the model of its body."""

    view: Callable[..., object]
    parameters: Mapping[str, object]
    body: type[Strict] | None = None


def find(method: str, path: str, query: Iterable[tuple[str, str]]) -> Called:
    """Find the resource of a request, and read its parameters.

    Args:
        method: HTTP method; HEAD is GET without a body.
        path: decoded.
        query: decoded pairs, in their order.

    Raises:
        RestError: 404 no such path, 405 not with this method, 400 parameters.
    """
    matches = _at(path)
    if not matches:
        raise RestError(404, f"no resource {path}")
    for resource, found in matches:
        if resource.method == _as_listed(method):
            return Called(resource.view, read({**found.groupdict(), **_asked(resource, query)}), resource.body)
    allowed = ", ".join(dict.fromkeys(resource.method for resource, _ in matches))
    raise RestError(405, f"{path} takes {allowed}, not {method}", Allow=allowed)


def _at(path: str) -> list[tuple[Resource, re.Match[str]]]:
    """The rows with a path, in their order, and the parts of it."""
    return [(resource, found) for resource in RESOURCES if (found := resource.pattern.match(path))]


def _as_listed(method: str) -> str:
    return "GET" if method == "HEAD" else method


def _asked(resource: Resource, query: Iterable[tuple[str, str]]) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, text in query:
        if name not in resource.query:
            raise RestError(400, f"{resource.path} has no parameter {name!r}")
        if name in asked:
            raise RestError(400, f"parameter {name!r} is given twice")
        asked[name] = text
    return asked
