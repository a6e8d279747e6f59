"""The table of the REST resources: method, path, view, filters, lists, bodies and roles.

``{name}`` in a path is one segment; ``parameters.READERS`` has the reader of each name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from typing_extensions import TypedDict

from ryu_apps.metrics.exposition import CONTENT_TYPES
from ryu_apps.rest import configuration
from ryu_apps.rest.access import access
from ryu_apps.rest.appliances import appliances
from ryu_apps.rest.bridge import Bridge, JsonValue, Negotiated, RestError
from ryu_apps.rest.callers import MAX_BODY
from ryu_apps.rest.cluster import Transfer, transfer
from ryu_apps.rest.flows import flows
from ryu_apps.rest.groups import foreseen, groups, meters
from ryu_apps.rest.history import event_stream, events, migration, migrations
from ryu_apps.rest.load_balancers import Judgement, judge, load_balancer, load_balancers
from ryu_apps.rest.multicast import memberships, multicast
from ryu_apps.rest.openapi import openapi_document
from ryu_apps.rest.overview import overview
from ryu_apps.rest.page import HTML, SCRIPT, STYLE_SHEET, page, page_script, page_sheet
from ryu_apps.rest.parameters import MOST, read
from ryu_apps.rest.picture import SVG, picture
from ryu_apps.rest.pods import Claimed, hand_over
from ryu_apps.rest.policy_check import MAX_CHECKED, PolicyTexts, check_policies
from ryu_apps.rest.reservations import reservations
from ryu_apps.rest.resource import Listing, Resource
from ryu_apps.rest.sets import sets
from ryu_apps.rest.stations import stations
from ryu_apps.rest.statistics import Base, all_statistics, populate, statistics
from ryu_apps.rest.status import status
from ryu_apps.rest.stream import CONTENT_TYPE as EVENT_STREAM
from ryu_apps.rest.tokens import Role
from ryu_apps.rest.vsi_state import MAX_STATE, BroughtState, put_state, state
from ryu_apps.rest.vsis import deassociate, vsi, vsis
from ryu_apps.rest.vsitypes import POLICY_TYPE, policy, reload, vsitype, vsitypes
from ryu_apps.rest.vswitches import vswitch, vswitches
from ryu_apps.version import VERSION


class ResourceJson(TypedDict):
    """A row of the table of resources; a role of null needs no token."""

    method: str
    path: str
    meaning: str
    query: list[str]
    role: str | None


class IndexJson(TypedDict):
    """The resources."""

    version: str
    resources: list[ResourceJson]
    openapi: str


def index(bridge: Bridge, now: float) -> IndexJson:
    """The resources: what each is, its parameters, and the role that it needs."""
    return {
        "version": VERSION,
        "resources": [
            {
                "method": resource.method,
                "path": resource.path,
                "meaning": resource.meaning,
                "query": list(resource.query),
                "role": resource.role_text,
            }
            for resource in RESOURCES
        ],
        "openapi": "/evb/openapi.json",
    }


def openapi(bridge: Bridge, now: float) -> JsonValue:
    """The resources as an OpenAPI document, for tools that make or test clients."""
    return openapi_document(RESOURCES, VERSION, bridge.rest.tokens is not None)


def metrics(bridge: Bridge, now: float) -> Negotiated:
    """All counters, for Prometheus."""
    return Negotiated(bridge.metrics.exposition)


_BY_VSI = Listing("vsi", "vsi")
_OF_VSIS = ("phase", "port", "type", "vlan", "switch")
_OF_EVENTS, _PUSHED = ("since", "vsi", "port", "switch"), ("vsi", "port", "switch", "after")

RESOURCES = (
    Resource("GET", "/", page, media_types=(HTML,), role=None, everywhere=True, early=True),
    Resource(
        "GET", "/evb/page/{script}.js", page_script, media_types=(SCRIPT,), role=None, everywhere=True, early=True
    ),
    Resource(
        "GET", "/evb/page/{sheet}.css", page_sheet, media_types=(STYLE_SHEET,), role=None, everywhere=True, early=True
    ),
    Resource("GET", "/evb", index, everywhere=True, early=True),
    Resource("GET", "/evb/openapi.json", openapi, everywhere=True, early=True),
    Resource("GET", "/evb/access", access, asks_caller=True, everywhere=True, early=True),
    Resource("GET", "/evb/status", status, everywhere=True),
    Resource("GET", "/evb/picture.svg", picture, media_types=(SVG,), everywhere=True),
    Resource("POST", "/evb/reload", configuration.reload, role=Role.ADMIN, statuses=(200, 409), everywhere=True),
    Resource("POST", "/evb/cluster/transfer", transfer, body=Transfer, role=Role.ADMIN, statuses=(202,)),
    Resource("GET", "/evb/vsitypes", vsitypes, listing=Listing("type", "type_key"), everywhere=True),
    Resource("POST", "/evb/vsitypes/reload", reload, role=Role.ADMIN, statuses=(200, 409), everywhere=True),
    Resource(
        "POST",
        "/evb/vsitypes/check",
        check_policies,
        body=PolicyTexts,
        max_body=MAX_CHECKED,
        role=Role.OPERATE,
        everywhere=True,
    ),
    # Before the next row, which would take the suffix for a part of the version.
    Resource("GET", "/evb/vsitypes/{type_id}/{version}.yaml", policy, media_types=(POLICY_TYPE,), everywhere=True),
    Resource("GET", "/evb/vsitypes/{type_id}/{version}", vsitype, filters=("manager",), everywhere=True),
    Resource("GET", "/evb/vsitypes/{type_id}/{version}/policy", policy, media_types=(POLICY_TYPE,), everywhere=True),
    Resource("GET", "/evb/overview", overview, listing=_BY_VSI, followed=True),
    Resource("GET", "/evb/vsis", vsis, _OF_VSIS, listing=_BY_VSI, followed=True),
    Resource("GET", "/evb/vsis/{vsi}", vsi, followed=True),
    Resource("GET", "/evb/vsis/{vsi}/foreseen", foreseen, ("port", "switch"), listing=Listing("port", "port")),
    Resource("GET", "/evb/vsis/{vsi}/state", state),
    Resource("PUT", "/evb/vsis/{vsi}/state", put_state, body=BroughtState, max_body=MAX_STATE, role=Role.OPERATE),
    Resource("POST", "/evb/vsis/{vsi}/handover", hand_over, body=Claimed, role=Role.OPERATE),
    Resource("DELETE", "/evb/vsis/{vsi}", deassociate, role=Role.OPERATE, statuses=(200, 202)),
    Resource("GET", "/evb/flows/{dpid}", flows, filters=("state", "vsi"), listing=Listing("id", "rule")),
    Resource("GET", "/evb/groups/{dpid}", groups, ("vsi",), listing=Listing("group_id", "group_id")),
    Resource("GET", "/evb/meters/{dpid}", meters, ("vsi",), listing=Listing("meter_id", "meter_id")),
    Resource("GET", "/evb/reservations", reservations, filters=("switch",), listing=Listing("dpid", "dpid")),
    Resource("GET", "/evb/stations", stations, filters=("port", "switch"), listing=Listing("port", "port")),
    Resource("GET", "/evb/vswitches", vswitches, listing=Listing("name", "vswitch")),
    Resource("GET", "/evb/vswitches/{vswitch}", vswitch),
    Resource("GET", "/evb/multicast", multicast, filters=("vlan",)),
    Resource(
        "GET",
        "/evb/multicast/members",
        memberships,
        filters=("vlan", "vsi", "port", "switch"),
        listing=Listing("id", "membership"),
    ),
    Resource("GET", "/evb/sets", sets, ("type", "vsi", "switch"), listing=Listing("id", "set")),
    Resource("GET", "/evb/load_balancers", load_balancers, filters=("vlan",), listing=Listing("name", "balancer")),
    Resource("GET", "/evb/load_balancers/{balancer}", load_balancer),
    Resource("PUT", "/evb/load_balancers/{balancer}/backends/{backend}", judge, body=Judgement, role=Role.OPERATE),
    Resource("GET", "/evb/appliances", appliances, filters=("vlan",), listing=Listing("name", "appliance")),
    Resource(
        "GET",
        "/evb/migrations",
        migrations,
        filters=("vsi", "port", "switch", "newest"),
        listing=Listing("id", "number"),
    ),
    Resource("GET", "/evb/migrations/{number}", migration),
    Resource("GET", "/evb/statistics", all_statistics, filters=("fresh", "type"), listing=_BY_VSI),
    Resource("GET", "/evb/statistics/{vsi}", statistics, filters=("fresh",)),
    Resource("PUT", "/evb/statistics/{vsi}", populate, body=Base, role=Role.OPERATE),
    Resource(
        "GET",
        "/evb/events",
        events,
        ("since", "vsi", "port", "switch"),
        listing=Listing("id", "event"),
        everywhere=True,
        early=True,
    ),
    Resource(
        "GET",
        "/evb/events/stream",
        event_stream,
        ("vsi", "port", "switch", "after"),
        media_types=(EVENT_STREAM,),
        everywhere=True,
        early=True,
    ),
    Resource("GET", "/metrics", metrics, media_types=CONTENT_TYPES, everywhere=True, early=True),
)


def required_role(method: str, path: str) -> Role | None:
    """The role that a request needs: that of its resource; None: no token.

    Another path is perhaps that of another Ryu app, which may write any rule.
    """
    resources = [resource for resource, _ in _at(path)]
    found = next((resource for resource in resources if resource.method == _as_listed(method)), None)
    if found is not None:
        return found.role
    # To be answered 204, 404 or 405, unless another app has more at the root.
    ours = path.startswith("/evb/") or (bool(resources) and path != "/")
    return Role.READ if ours else Role.ADMIN


class Called(NamedTuple):
    """The resource of a request, and the parameters of its view.

    Attributes:
        limit: the most items of a list.
    """

    resource: Resource
    parameters: Mapping[str, object]
    limit: int

    @property
    def key(self) -> str | None:
        """Member of an item of a list that names it; None: it is not read in parts."""
        return self.resource.listing.key if self.resource.listing else None


def longest_body(method: str, path: str) -> int:
    """The most octets of the body of a request."""
    return next((resource.max_body for resource, _ in _at(path) if resource.method == method), MAX_BODY)


def find(method: str, path: str, query: Iterable[tuple[str, str]]) -> Called:
    """Find the resource of a request, and read its parameters.

    Args:
        method: HTTP method; HEAD is GET without a body.
        path: decoded.
        query: decoded pairs, in their order.

    Raises:
        RestError: 404 no such path, 405 not with this method, 400 parameters.
    """
    for resource, found in _at(path):
        if resource.method == _as_listed(method):
            values = read({**found.groupdict(), **_asked(resource, query)}, resource.kinds)
            limit = values.pop("limit", MOST)
            assert isinstance(limit, int)
            return Called(resource, values, limit)
    methods = ", ".join(allowed(path))
    raise RestError(405, f"{path} takes {methods}, not {method}", Allow=methods)


def allowed(path: str) -> list[str]:
    """The methods of a path.

    Raises:
        RestError: 404, no such path.
    """
    matches = _at(path)
    if not matches:
        raise RestError(404, f"no resource {path}")
    listed = dict.fromkeys(resource.method for resource, _ in matches)
    return [*listed, *(["HEAD"] if "GET" in listed else []), "OPTIONS"]


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
