"""Policy files and OVF packages that the NMS acquires at intervals, and rolls out when they have changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.nms.schema import SourceSection
from ryu_apps.nms_server.acquisition import Acquisition
from ryu_apps.ovf.collect import collect_package
from ryu_apps.ovf.writer import write_envelope
from tests.unit.nms_server.test_rollouts import Site, policy


class Manager:
    """A VSI manager: files by path, and the requests that it has answered, with their statuses."""

    def __init__(self, stack: ExitStack) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: list[tuple[str, int]] = []
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                octets = manager.files.get(self.path)
                etag = f'"{sha256(octets or b"").hexdigest()}"'
                status = 404 if octets is None else 304 if self.headers["If-None-Match"] == etag else 200
                manager.answers.append((self.path, status))
                self.send_response(status)
                self.send_header("ETag", etag)
                self.end_headers()
                if status == 200 and octets is not None:
                    self.wfile.write(octets)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"


class Acquiring:
    """An NMS with two bridges and two VSI managers, asked every 60 s and every 300 s."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.site = Site(folder, stack)
        self.web, self.shop = Manager(stack), Manager(stack)
        self.web.files["/web.yaml"], self.shop.files["/shop.yaml"] = policy(7).encode(), policy(8).encode()
        sources = {
            "web": SourceSection(urls=[f"{self.web.url}/web.yaml"]),
            "shop": SourceSection(urls=[f"{self.shop.url}/shop.yaml"], interval=300),
        }
        self.now = 1000.0
        self._folder = folder
        self._sources: dict[str, SourceSection] = {}
        self.acquire(**sources)

    def acquire(self, **sources: SourceSection) -> None:
        """Acquire from these, and from those of before that have another name."""
        self._sources |= sources
        database, roll_outs = self.site.database, self.site.roll_outs
        self.acquisition = Acquisition(self._sources, database, roll_outs, self._folder, lambda: self.now)

    def round(self, seconds: float = 60.0) -> list[str]:
        """Let time pass, acquire, and carry out what is rolled out; returns the states of all roll-outs."""
        self.now += seconds
        self.acquisition.round()
        while self.site.database.open_roll_out() is not None:
            self.site.step()
        return [row.state for row in self.site.database.roll_outs()]


@pytest.fixture
def nms(tmp_path: Path) -> Iterator[Acquiring]:
    with ExitStack() as stack:
        yield Acquiring(tmp_path, stack)


def test_files_are_rolled_out_once_and_again_when_they_have_changed(nms: Acquiring) -> None:
    assert nms.round() == ["done"]
    assert nms.site.serves(7) == policy(7) and nms.site.serves(8) == policy(8)
    assert nms.round() == ["done"], "nothing has changed"
    nms.web.files["/web.yaml"] = policy(7, 2).encode()
    assert nms.round(30) == ["done"], "it is not asked yet"
    assert nms.round() == ["done", "done"]
    assert nms.site.serves(7, 2) == policy(7, 2) and nms.site.serves(7) is None and nms.site.serves(8) == policy(8)
    assert [status for _, status in nms.web.answers] == [200, 304, 200]
    assert len(nms.shop.answers) == 1, "its interval is longer"


def test_nothing_is_rolled_out_before_each_source_has_answered(nms: Acquiring) -> None:
    del nms.shop.files["/shop.yaml"]
    assert nms.round() == []
    assert nms.acquisition.errors["web"] is None
    assert nms.acquisition.errors["shop"] == f"{nms.shop.url}/shop.yaml: HTTP 404 Not Found"
    nms.shop.files["/shop.yaml"] = policy(8).encode()
    assert nms.round(300) == ["done"] and nms.acquisition.errors["shop"] is None


def test_source_that_fails_later_keeps_what_it_has_given(nms: Acquiring) -> None:
    nms.round()
    del nms.shop.files["/shop.yaml"]
    nms.web.files["/web.yaml"] = policy(7, 2).encode()
    assert nms.round(300) == ["done", "done"]
    assert nms.site.serves(8) == policy(8) and nms.site.serves(7, 2) is not None
    assert nms.acquisition.errors["shop"] is not None


def test_other_content_under_a_served_version_is_refused_and_told(nms: Acquiring) -> None:
    nms.round()
    nms.web.files["/web.yaml"] = policy(7, verdict="deny").encode()
    assert nms.round() == ["done"]
    assert nms.acquisition.refusal is not None and "give it a new version" in nms.acquisition.refusal
    nms.web.files["/web.yaml"] = policy(7).encode()
    assert nms.round() == ["done"] and nms.acquisition.refusal is None


def test_set_that_a_bridge_has_not_taken_is_rolled_out_again(nms: Acquiring) -> None:
    nms.site.silent = {"b"}
    assert nms.round() == ["taken back"]
    nms.site.silent = set()
    assert nms.round() == ["taken back", "done"]
    assert json.loads(nms.site.database.served().policies).keys() == {"web/0/web.yaml", "shop/0/shop.yaml"}  # type: ignore[union-attr]


def package(version: int = 1, verdict: str = "allow") -> bytes:
    """A descriptor with the network port profile of VSI type 9."""
    found, mistakes = collect_package([("nine.yaml", policy(9, version, verdict))], SECTIONS)
    assert found is not None, mistakes
    return write_envelope(found).encode()


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Acquiring]:
    """An NMS that acquires a folder of packages, one of a server, and policy files beside them."""
    with ExitStack() as stack:
        nms = Acquiring(tmp_path, stack)
        (tmp_path / "packages").mkdir()
        (tmp_path / "packages" / "nine.ovf").write_bytes(package())
        nms.shop.files["/shop.ovf"] = package()
        nms.acquire(shop=SourceSection(ovf=["packages", f"{nms.shop.url}/shop.ovf"]))
        yield nms


def test_packages_are_rolled_out_and_again_when_they_have_changed(packages: Acquiring, tmp_path: Path) -> None:
    assert packages.round() == ["done"]
    served = packages.site.serves(9)
    assert served is not None and "type_id: 9" in served and packages.site.serves(7) == policy(7)
    assert packages.round() == ["done"], "nothing has changed"
    (tmp_path / "packages" / "nine.ovf").write_bytes(package(2))
    assert packages.round() == ["done", "done"]
    assert packages.site.serves(9, 2) is not None and packages.site.serves(9) == served


def test_package_with_mistakes_and_one_that_is_gone_keep_what_was_there(packages: Acquiring, tmp_path: Path) -> None:
    packages.round()
    served = packages.site.serves(9)
    (tmp_path / "packages" / "nine.ovf").write_text("<Envelope")
    assert packages.round() == ["done"] and packages.site.serves(9) == served
    assert "nine.ovf:1:" in (packages.acquisition.errors["shop"] or "")
    (tmp_path / "packages" / "nine.ovf").write_bytes(package())
    del packages.shop.files["/shop.ovf"]
    packages.web.files["/web.yaml"] = policy(7, 2).encode()
    assert packages.round() == ["done", "done"]
    assert packages.site.serves(9) == served and packages.site.serves(7, 2) is not None
    assert packages.acquisition.errors["shop"] == f"{packages.shop.url}/shop.ovf:1:1: HTTP 404 Not Found"


def test_nothing_is_rolled_out_before_each_package_has_come(packages: Acquiring) -> None:
    del packages.shop.files["/shop.ovf"]
    assert packages.round() == []


def test_two_packages_that_differ_about_a_type_are_refused(packages: Acquiring) -> None:
    packages.shop.files["/shop.ovf"] = package(verdict="deny")
    assert packages.round() == []
    assert packages.acquisition.refusal is not None and "9/1" in packages.acquisition.refusal


def test_other_content_of_a_package_under_a_served_version_is_refused(packages: Acquiring, tmp_path: Path) -> None:
    packages.round()
    packages.shop.files["/shop.ovf"] = package(verdict="deny")
    (tmp_path / "packages" / "nine.ovf").write_bytes(package(verdict="deny"))
    assert packages.round() == ["done"]
    assert packages.acquisition.refusal is not None and "give it a new version" in packages.acquisition.refusal
