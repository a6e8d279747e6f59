"""REST of the NMS: what it knows of VSIs, bridges and hooks."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Annotated, Any

from pydantic import Field
from webob import Request, Response
from webob.dec import wsgify

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.validate import BodyError, Strict
from ryu_apps.evb.policy.validate import read_body as read_json
from ryu_apps.nms.schema import HookSection
from ryu_apps.nms.totals import Numbers
from ryu_apps.nms_server.acquisition import Acquisition
from ryu_apps.nms_server.bridge import BridgeClient
from ryu_apps.nms_server.collector import Collector
from ryu_apps.nms_server.coordination import alarms, steps_of
from ryu_apps.nms_server.database import Database, Seen
from ryu_apps.nms_server.following import Follower
from ryu_apps.nms_server.rollouts import RollOutError, RollOuts, roll_out_json
from ryu_apps.rest.callers import Limit, NotServedError, abandon, read_body, screen, status_line

#: The most items of an answer, and as many as without ``limit``.
MOST, _USUAL = 10_000, 1000
#: Octets of the body of a roll-out; a bridge checks as many.
MAX_POLICIES = 4_000_000


_NUMBER = re.compile("[0-9]{1,9}")


class PolicyText(Strict):
    """A policy file."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    text: str


class RollOutBody(Strict):
    """Policies that are to be served together."""

    policies: Annotated[list[PolicyText], Field(min_length=1, max_length=1000)]


class NmsRefusal(Exception):
    """A request that cannot be served."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class NmsApplication:
    """WSGI application.

    Args:
        names: host names that a request may address, besides the addresses of the server.
        limit: bounds the time in which a body has to arrive.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        bridges: Iterable[BridgeClient],
        collector: Collector,
        followers: Iterable[tuple[str, Follower]],
        hooks: Mapping[str, HookSection],
        database: Database,
        roll_outs: RollOuts,
        names: tuple[str, ...] = (),
        limit: Limit = lambda seconds: nullcontext(),
        clock: Callable[[], float] = time.time,
        acquisition: Acquisition | None = None,
    ) -> None:
        self._bridges = tuple(bridges)
        self._collector = collector
        self._followers = tuple(followers)
        self._hooks = hooks
        self._database = database
        self._roll_outs = roll_outs
        self._names = names
        self._limit = limit
        self._clock = clock
        self._acquisition = acquisition

    @wsgify
    def __call__(self, request: Request) -> Response:
        """Serve one request."""
        try:
            screen(request, self._names)
            octets = read_body(request, self._limit, MAX_POLICIES)
            served = self._served(request.method, request.path_info, _query(request), octets)
            return served if isinstance(served, Response) else _response(200, served)
        except UnicodeDecodeError:
            return _response(400, {"error": "the URL is not UTF-8"})
        except NotServedError as refused:
            abandon(request)
            return _response(refused.status, {"error": refused.reason})
        except NmsRefusal as refused:
            return _response(refused.status, {"error": str(refused)})
        except sqlite3.Error as error:
            return _response(503, {"error": f"the database: {error}"})

    def _served(self, method: str, path: str, query: dict[str, str], octets: bytes) -> object:
        view: Callable[[dict[str, str]], object] | None = None
        match path.strip("/").split("/"):
            case ["nms", "bridges"]:
                view = self._all_bridges
            case ["nms", "rollouts"] if method == "POST":
                return self._begin(octets)
            case ["nms", "rollouts"]:
                view = self._all_roll_outs
            case ["nms", "rollouts", number]:
                return self._shown(method, lambda asked: self._roll_out(number), query, ())
            case ["nms", "vsitypes", type_id, file]:
                return self._shown(method, lambda asked: self._policy(type_id, file), query, ())
            case ["nms", "hooks"]:
                view = self._all_hooks
            case ["nms", "sources"]:
                view = self._all_sources
            case ["nms", "alarms"]:
                view = self._all_alarms
            case ["nms", "vsis"]:
                view = self._all_vsis
            case ["nms", "vsis", vsi]:
                return self._shown(method, lambda asked: _vsi_json(self._known(vsi)), query, ())
            case ["nms", "vsis", vsi, "steps"]:
                return self._shown(method, lambda asked: self._steps(vsi, asked), query, ("bridge", "port"))
            case ["nms", "vsis", vsi, "series"]:
                return self._shown(method, lambda asked: self._series(vsi, asked), query, ("since", "until", "limit"))
        if view is None:
            raise NmsRefusal(404, f"there is nothing at {path}")
        return self._shown(method, view, query, ("after", "limit") if view == self._all_vsis else ())

    @staticmethod
    def _shown(
        method: str, view: Callable[[dict[str, str]], object], query: dict[str, str], known: tuple[str, ...]
    ) -> object:
        if method not in ("GET", "HEAD"):
            raise NmsRefusal(405, f"{method} is none of GET, HEAD")
        for name in query:
            if name not in known:
                raise NmsRefusal(400, f"there is no parameter {name!r}")
        return view(query)

    # --- roll-outs ---
    def _begin(self, octets: bytes) -> Response:
        try:
            body = read_json(RollOutBody, octets)
            number = self._roll_outs.begin({policy.name: policy.text for policy in body.policies}, self._clock())
        except BodyError as error:
            raise NmsRefusal(error.status, str(error)) from None
        except RollOutError as error:
            more = {"mistakes": error.mistakes} if error.mistakes else {}
            return _response(422 if error.mistakes else 409, {"error": str(error), **more})
        return _response(201, self._roll_out(str(number)))

    def _all_roll_outs(self, query: dict[str, str]) -> object:
        return [roll_out_json(row) for row in self._database.roll_outs()]

    def _roll_out(self, number: str) -> object:
        row = self._database.roll_out(int(number)) if _NUMBER.fullmatch(number) else None
        if row is None:
            raise NmsRefusal(404, f"no roll-out {number}")
        return roll_out_json(row, whole=True)

    def _policy(self, type_id: str, file: str) -> Response:
        version = file.removesuffix(".yaml")
        known = _NUMBER.fullmatch(type_id) and _NUMBER.fullmatch(version) and version != file
        found = self._roll_outs.policy(VsiTypeKey(int(type_id), int(version))) if known else None
        if found is None:
            raise NmsRefusal(404, f"no VSI type {type_id}/{version}")
        headers = {"Content-Type": "text/yaml; charset=utf-8"}
        return Response(body=found.text, headers=headers, etag=found.etag, conditional_response=True)

    # --- views ---
    def _all_bridges(self, query: dict[str, str]) -> object:
        return [
            {
                "name": bridge.name,
                "urls": list(bridge.urls),
                "answered": self._collector.answered.get(bridge.name),
                "error": self._collector.errors.get(bridge.name),
                "events": [
                    {
                        "url": follower.url,
                        "error": follower.error,
                        "gaps": self._database.missed(follower.place),
                    }
                    for name, follower in self._followers
                    if name == bridge.name
                ],
            }
            for bridge in self._bridges
        ]

    def _all_hooks(self, query: dict[str, str]) -> object:
        return [
            {"name": name, "steps": list(hook.steps), **self._database.hook(name)._asdict()}
            for name, hook in self._hooks.items()
        ]

    def _all_alarms(self, query: dict[str, str]) -> object:
        bridges = {bridge.name: self._collector.errors.get(bridge.name) for bridge in self._bridges}
        sources = {} if self._acquisition is None else self._acquisition.errors
        refusal = None if self._acquisition is None else self._acquisition.refusal
        troubles = (
            ("silent.bridge", bridges),
            ("silent.prometheus", {"": self._collector.prometheus_error}),
            ("silent.source", sources),
            ("sources.refused", {"": refusal}),
        )
        return alarms(self._database, self._hooks, troubles, self._clock())

    def _all_sources(self, query: dict[str, str]) -> object:
        acquired = self._acquisition
        if acquired is None:
            return []
        return [
            {"name": name, "answered": acquired.answered.get(name), "error": error}
            for name, error in acquired.errors.items()
        ]

    def _steps(self, vsi: str, query: dict[str, str]) -> object:
        if not query.get("bridge") or not query.get("port"):
            raise NmsRefusal(400, "bridge and port are needed")
        if query["bridge"] not in {bridge.name for bridge in self._bridges}:
            raise NmsRefusal(404, f"there is no bridge {query['bridge']}")
        return steps_of(self._database, self._hooks, vsi, query["bridge"], query["port"])

    def _all_vsis(self, query: dict[str, str]) -> object:
        return [_vsi_json(seen) for seen in self._database.vsis(query.get("after", ""), _limit_of(query))]

    def _known(self, vsi: str) -> Seen:
        seen = self._database.vsi(vsi)
        if seen is None:
            raise NmsRefusal(404, f"no statistics of VSI {vsi}")
        return seen

    def _series(self, vsi: str, query: dict[str, str]) -> object:
        self._known(vsi)
        since, until = _seconds(query, "since", 0.0), _seconds(query, "until", math.inf)
        samples = self._database.series(vsi, since, until, _limit_of(query))
        return [
            {"t": sample.t, "bridge": sample.bridge or None, "port": sample.port, **_numbers_json(sample.total)}
            for sample in samples
        ]


def _query(request: Request) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, text in request.GET.items():
        if name in query:
            raise NmsRefusal(400, f"parameter {name!r} is given twice")
        query[name] = text
    return query


def _limit_of(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(_USUAL))
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MOST or len(text) > 9:
        raise NmsRefusal(400, f"limit: {text!r} is not a number from 1 to {MOST}")
    return int(text)


def _seconds(query: Mapping[str, str], name: str, usual: float) -> float:
    text = query.get(name)
    if text is None:
        return usual
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise NmsRefusal(400, f"{name}: {text!r} is not a time in seconds")
    return found


def _vsi_json(seen: Seen) -> dict[str, Any]:
    where = {"bridge": seen.bridge, "port": seen.port, "seen": seen.seen}
    return {"vsi": seen.vsi, **where, **_numbers_json(seen.totals.total)}


def _numbers_json(total: Numbers) -> dict[str, Any]:
    from_packets, from_octets, to_packets, to_octets = total
    return {
        "from_vm": {"packets": from_packets, "octets": from_octets},
        "to_vm": {"packets": to_packets, "octets": to_octets},
    }


def _response(status: int, body: object) -> Response:
    octets = json.dumps(body).encode() + b"\n"
    return Response(body=octets, status=status_line(status), content_type="application/json")
