"""The link to the directory and to other pods: a bridge that does not lead, and the events that an operator sees."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.config.bridge_config import Peer, PodMembership
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.pods import DirectoryFound, DirectoryLost, PodReached, PodUnreachable
from ryu_apps.evb.events.effect import ClaimVsi, FetchState
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import HandOver, VsiCleared
from ryu_apps.evb.pods.claim import Refusal
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.evb.pods.state_document import VsiState
from ryu_apps.pod_client import UnreachableError
from ryu_apps.pod_link.link import PodLink
from tests.worlds.directory_model import DirectoryModel
from tests.worlds.pods import PodView

VSI = "00000000-0000-4000-8000-000000000001"


class Pod:
    """Pod b, asked by a."""

    def __init__(self) -> None:
        self.reached = True
        self.meanwhile: Callable[[], object] = lambda: None

    def leader(self, peer: Peer) -> str | None:
        return peer.urls[0] if self.reached else None

    def state(self, peer: Peer, vsi: str) -> VsiState | None:
        if not self.reached:
            raise UnreachableError("away")
        return None

    def hand_over(self, peer: Peer, vsi: str, pod: str, generation: int) -> bool:
        self.meanwhile()
        return True


class Site:
    """Pod a with its link; ``told`` are events of the log, ``fed`` those of the engine."""

    def __init__(self) -> None:
        self.model, self.there = DirectoryModel(), Pod()
        self.view = PodView(self.model, "a")
        self.told: list[type[LogEvent]] = []
        self.fed: list[Event] = []
        membership = PodMembership("a", (), {name: Peer((f"http://{name}/",)) for name in "bc"})
        self.link = PodLink(
            membership,
            self.view,
            self.there,
            lambda function, *arguments: function(*arguments),
            lambda event: self.told.append(type(event)),
            lambda: (),
            lambda: 1000.0,
        )


def test_bridge_that_does_not_lead_claims_nothing() -> None:
    site = Site()
    site.link.serve(None, site.fed.append)
    site.link.perform(ClaimVsi(1, VSI, None, True))
    assert site.model.owners == {} and site.fed == []
    site.link.serve(5, site.fed.append)
    site.link.perform(ClaimVsi(2, VSI, None, True))
    assert site.model.owners[VSI].life == 5 and len(site.fed) == 1


def test_claim_is_overtaken_by_a_pod_that_was_told_meanwhile_that_no_gate_is_open() -> None:
    """The former pod answers last: its answer must not open a gate here behind that of the newer claim."""
    site = Site()
    site.link.serve(5, site.fed.append)
    site.model.owners[VSI] = Owner("b", 1, 7)

    def claimed_by_c() -> None:
        newer = site.model.owners[VSI].generation + 1
        site.model.owners[VSI] = Owner("c", 1, newer)
        request = site.link.hand_over(VSI, "c", newer)
        assert request.decided and not request.refused

    site.there.meanwhile = claimed_by_c
    site.link.perform(ClaimVsi(1, VSI, None, True))
    assert site.fed == [HandOver(VSI, "c"), VsiCleared(1, Refusal.OVERTAKEN.value)]
    assert site.model.owners[VSI].pod == "c" and site.link.status().owned == 0
    # The next claim is judged by itself.
    site.there.meanwhile = lambda: None
    site.link.perform(ClaimVsi(2, VSI, None, True))
    assert isinstance(site.fed[-1], VsiCleared) and site.fed[-1].refusal is None


def test_directory_that_is_away_for_a_while_is_an_alarm_until_it_is_back() -> None:
    site = Site()
    site.link.serve(1, site.fed.append)
    site.view.away = True
    for now in (0.0, 1.0):
        site.link.tick(now)
    assert site.told == []
    for now in (2.0, 3.0):
        site.link.tick(now)
    assert site.told == [DirectoryLost]
    site.view.away = False
    site.link.tick(4.0)
    assert site.told == [DirectoryLost, DirectoryFound]


def test_pod_that_does_not_answer_is_an_alarm_until_it_does() -> None:
    site = Site()
    site.link.serve(1, site.fed.append)
    site.model.lives["b"] = 1
    site.model.owners[VSI] = Owner("b", 1, 7)
    for reached in (False, True):
        site.there.reached = reached
        site.link.perform(FetchState(1, VSI, final=False))
    assert site.told == [PodUnreachable, PodReached]
    status = site.link.status()
    assert status.unreachable == {} and status.leaders["b"] == "http://b/"
