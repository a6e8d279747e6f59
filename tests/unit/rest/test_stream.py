"""Events pushed to clients: each once and in order, resumed, bounded, and at nobody else's cost."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import islice

import pytest
from webob import Request, Response

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.event_catalogue.vsis import VsiActive
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.event_log import LENGTH, EventLog
from ryu_apps.metrics.bridge import Metrics
from ryu_apps.observers import QUIET, Observers
from ryu_apps.rest.application import respond
from ryu_apps.rest.bridge import RestError
from ryu_apps.rest.event_ids import EventId
from ryu_apps.rest.stream import HEARTBEAT, MOST, SEATS, EventFeed, EventStream, Seats
from tests.worlds.bridge import HV1, HV2, Vm, World
from tests.worlds.rest import RestWorld, unhurried

LIFE = 7
PATH = "/evb/events/stream"


class Reader:
    """A client that reads as long as there is something; its pauses advance a clock."""

    def __init__(self, after: EventId | None = None, admitted: bool = True, journal: EventLog | None = None) -> None:
        self.journal = journal or EventLog(logging.getLogger("stream"))
        self.now = 0.0
        self.admitted = admitted
        self.seats = Seats(1)
        feed = EventFeed(self.journal, lambda _: True, lambda number, when, happened: {"n": number}, LIFE, after)
        self.stream = EventStream(feed, lambda: self.admitted, lambda: self.now, self._pause, self.seats)
        self.pieces = iter(self.stream)
        assert next(self.pieces) == b"retry: 1000\n\n"

    def _pause(self, seconds: float) -> None:
        self.now += seconds

    def happen(self, number: int) -> None:
        for _ in range(number):
            # Beyond the limit of a second for one kind and port.
            self.journal._keep(VsiActive(HV1, "vsi"), self.now)

    def read(self) -> list[int | str]:
        """Numbers of events up to the next heartbeat, and other messages as they are."""
        found: list[int | str] = []
        for piece in self.pieces:
            if piece == b":\n\n":
                return found
            for message in piece.decode().split("\n\n")[:-1]:
                fields = dict(line.split(": ", 1) for line in message.split("\n"))
                number = json.loads(fields["data"]).get("n")
                assert number is None or fields["id"] == str(EventId(LIFE, number))
                found.append(number or message)
        return [*found, "end"]


def test_a_client_gets_what_happens_from_now_on_once_and_in_order() -> None:
    journal = EventLog(logging.getLogger("stream"))
    journal._keep(VsiActive(HV1, "vsi"), 0.0)
    reader = Reader(journal=journal)
    assert reader.read() == []
    reader.happen(250)
    assert reader.read() == list(range(2, 252))
    assert reader.read() == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (EventId(LIFE, 3), [4, 5]),
        (EventId(LIFE, 0), [1, 2, 3, 4, 5]),
        (EventId(LIFE, 5), []),
        (EventId(LIFE, 99), []),
        # Another start of the bridge: nobody knows what came between.
        (EventId(LIFE - 1, 3), ['event: gap\ndata: {"missed": null}', 1, 2, 3, 4, 5]),
    ],
)
def test_a_client_resumes_behind_the_last_event_that_it_has(after: EventId, expected: list[object]) -> None:
    journal = EventLog(logging.getLogger("stream"))
    for _ in range(5):
        journal._keep(VsiActive(HV1, "vsi"), 0.0)
    assert Reader(after, journal=journal).read() == expected


def test_a_client_that_comes_too_late_is_told_how_many_it_has_missed() -> None:
    journal = EventLog(logging.getLogger("stream"))
    for _ in range(LENGTH + 10):
        journal._keep(VsiActive(HV1, "vsi"), 0.0)
    found = Reader(EventId(LIFE, 4), journal=journal).read()
    assert found[:2] == ['event: gap\ndata: {"missed": 6}', 11] and len(found) == 1 + LENGTH


def test_a_client_that_is_too_slow_loses_its_connection_and_no_other_does() -> None:
    slow = Reader()
    quick = Reader(journal=slow.journal)
    slow.happen(1)
    assert next(slow.pieces) and quick.read() == [1]
    slow.happen(LENGTH)
    assert len(quick.read()) == LENGTH
    slow.happen(1)
    assert slow.read() == ["end"]
    assert quick.read() == [LENGTH + 2]


def test_a_token_that_is_revoked_ends_the_stream() -> None:
    reader = Reader()
    assert reader.read() == []
    reader.admitted = False
    assert reader.read() == ["end"]
    assert reader.now <= 2 * HEARTBEAT + 1


def test_clients_are_bounded_and_leave_their_place_once() -> None:
    reader = Reader()
    assert reader.seats.taken == 1
    feed = reader.stream._feed
    with pytest.raises(RestError) as refused:
        EventStream(feed, lambda: True, lambda: 0.0, lambda _: None, reader.seats)
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "10"})
    reader.stream.close()
    reader.stream.close()
    assert reader.seats.taken == 0


# --- by way of REST ---------------------------------------------------------------------------------
@pytest.fixture
def world() -> Iterator[RestWorld]:
    world = RestWorld()
    world.connect()
    yield world
    assert SEATS.taken == 0


def ask(world: RestWorld, path: str, method: str = "GET", **headers: str) -> Response:
    request = Request.blank(path, method=method, headers=headers)
    return request.get_response(respond(request, lambda: world, lambda: world.now, world._pause, unhurried))


def messages(response: Response, number: int) -> list[dict[str, str]]:
    """The fields of the first messages that are events."""
    found: list[dict[str, str]] = []
    for piece in response.app_iter:
        parts = [part for part in piece.decode().split("\n\n")[:-1] if part.startswith("id: ")]
        found.extend(dict(line.split(": ", 1) for line in part.split("\n")) for part in parts)
        if len(found) >= number:
            break
    response.app_iter.close()
    return found[:number]


def test_the_stream_has_the_events_of_the_list(world: RestWorld) -> None:
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    listed = world.get("/evb/events")
    response = ask(world, f"{PATH}?after={listed[2]['id']}")
    assert response.headers["Content-Type"] == "text/event-stream"
    found = messages(response, len(listed) - 3)
    assert [json.loads(message["data"]) for message in found] == listed[3:]
    assert [message["id"] for message in found] == [event["id"] for event in listed[3:]]


def test_the_header_counts_more_than_the_address_and_filters_hold(world: RestWorld) -> None:
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    world.ask(HV2, Vm(2), VdpMode.ASSOCIATE)
    listed = world.get(f"/evb/events?vsi={Vm(2).text}")
    url = f"{PATH}?vsi={Vm(2).text}&after={listed[-1]['id']}"
    found = messages(ask(world, url, **{"Last-Event-ID": listed[0]["id"]}), len(listed) - 1)
    assert [json.loads(message["data"]) for message in found] == listed[1:]


def test_what_is_not_an_event_is_refused(world: RestWorld) -> None:
    assert ask(world, PATH, **{"Last-Event-ID": "x"}).json == {"error": "Last-Event-ID: 'x' is not the id of an event"}
    assert ask(world, f"{PATH}?after=1").status_code == 400


def test_more_clients_than_there_are_places_for_are_refused(world: RestWorld) -> None:
    streams = [ask(world, PATH) for _ in range(MOST)]
    refused = ask(world, PATH)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    for response in streams:
        response.app_iter.close()
    assert SEATS.taken == 0


def test_a_client_that_follows_has_nothing_told_before_its_time() -> None:
    alarms = Alarms()
    observers = Observers(EventLog(logging.getLogger("bridge")), Metrics(BridgeQueries(World().engine), alarms), alarms)
    reader = Reader(journal=observers.journal)
    observers.note([VsiActive(HV1, "vsi")], 10.0)
    assert reader.read() == []
    observers.tick(10.0 + QUIET)
    assert reader.read() == [1]


def test_events_are_listed_in_parts(world: RestWorld) -> None:
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    listed = world.get("/evb/events")
    assert world.get(f"/evb/events?after={listed[4]['id']}") == listed[5:]
    assert world.get(f"/evb/events?after={0:016x}.5") == listed
    assert list(islice(listed, 2)) == world.get("/evb/events?limit=2")
