"""Start and end of a controller: alone, on the loopback, with one line if it cannot start, and at once."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.app.test_evb_rest import CONFIG, free_port

BIN = Path(sys.executable).parent
LAUNCHERS = {
    "evbridge": [str(BIN / "evbridge"), "run"],
    "ryu-manager": [str(BIN / "ryu-manager"), "ryu_apps.evb_bridge", "ryu_apps.evb_rest"],
}
DEADLINE = 60.0
SWITCH = "dps: {s1: {dp_id: 1, interfaces: {1: {name: hv1, role: station, native_vlan: 100}}}}\n"
POLICY = "version: 1\nvsi_type: {type_id: 1, version: 1, name: web}\n"


@pytest.fixture(params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest) -> list[str]:
    return LAUNCHERS[request.param]


def _outside_pytest() -> dict[str, str]:
    """Return the environment without the variable with which eventlet complains of no RLock."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


class Start:
    """A start of the controller: its process, its ports and what it has said."""

    def __init__(
        self,
        launcher: list[str],
        folder: Path,
        *options: str,
        ports: tuple[int, int] | None = None,
        log: str = "",
        piped: bool = False,
        **environment: str,
    ) -> None:
        self.openflow, self.rest = ports or (free_port(), free_port())
        self.log = folder / (log or f"log-{time.monotonic_ns()}")
        config = folder / "evbridge.yaml"
        listening = ["--ofp-tcp-listen-port", str(self.openflow), "--wsapi-port", str(self.rest)]
        with self.log.open("wb") as output:
            self.process: subprocess.Popen[str] = subprocess.Popen(
                [*launcher, *listening, *options],
                env=_outside_pytest() | {"EVBRIDGE_CONFIG": str(config)} | environment,
                stdout=output,
                stderr=subprocess.PIPE if piped else output,
                text=True,
            )

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def await_line(self, pattern: str) -> str:
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.log.read_text())):
            assert time.monotonic() < deadline and self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        return found[0]

    def await_serving(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.rest), timeout=120).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline and self.process.poll() is None, self.log.read_text()
                time.sleep(0.02)

    def fails(self) -> str:
        """Its complaint: the one line that is no report of what is loaded."""
        assert self.process.wait(DEADLINE) == 1
        lines = self.log.read_text().splitlines()
        assert "Traceback (most recent call last):" not in lines
        (complaint,) = [line for line in lines if "cannot start" in line]
        assert lines[-1] == complaint
        return complaint


@pytest.fixture
def starts(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as running:
        yield running


def started(starts: ExitStack, *arguments: object, **more: object) -> Start:
    one = Start(*arguments, **more)  # type: ignore[arg-type]
    starts.callback(one.end)
    return one


def configure(folder: Path, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "evbridge.yaml").write_text(CONFIG + more)
    return folder


def test_a_state_directory_has_one_controller(launcher: list[str], tmp_path: Path, starts: ExitStack) -> None:
    folder = configure(tmp_path, "state_dir: state\n")
    first = started(starts, launcher, folder)
    first.await_serving()
    second = started(starts, launcher, folder)
    assert second.fails() == (
        f"evbridge cannot start: state directory {folder / 'state'} is in use by pid {first.process.pid}"
    )
    first.end()  # by SIGKILL: nothing is left that had to be cleared away
    started(starts, launcher, folder).await_serving()


def test_a_directory_is_locked_whatever_becomes_of_what_is_in_it(tmp_path: Path, starts: ExitStack) -> None:
    folder = configure(tmp_path, "state_dir: state\n")
    first = started(starts, LAUNCHERS["evbridge"], folder)
    first.await_serving()
    for file in (folder / "state").iterdir():
        file.unlink()
    (folder / "state").chmod(0o500)
    second = started(starts, LAUNCHERS["evbridge"], folder)
    assert second.fails().endswith(f"is in use by pid {first.process.pid}")


@pytest.mark.parametrize(("which", "named"), [(0, "OpenFlow"), (1, "REST")])
def test_a_port_has_one_controller(tmp_path: Path, starts: ExitStack, which: int, named: str) -> None:
    launcher = LAUNCHERS["ryu-manager"]
    first = started(starts, launcher, configure(tmp_path / "one"))
    first.await_serving()
    ports = [free_port(), free_port()]
    ports[which] = (first.openflow, first.rest)[which]
    second = started(starts, launcher, configure(tmp_path / "two"), ports=tuple(ports))
    assert second.fails() == f"evbridge cannot start: {named}: 127.0.0.1:{ports[which]}: in use by another process"
    assert first.process.poll() is None


@pytest.mark.parametrize(
    ("option", "host"), [("--ofp-listen-host", "192.0.2.1"), ("--wsapi-host", "no.such.host.invalid")]
)
def test_an_address_of_another_host_is_named(tmp_path: Path, starts: ExitStack, option: str, host: str) -> None:
    one = started(starts, LAUNCHERS["evbridge"], configure(tmp_path), option, host)
    assert host in one.fails()


def test_switches_connect_on_the_loopback_and_the_log_says_so(
    launcher: list[str], tmp_path: Path, starts: ExitStack
) -> None:
    one = started(starts, launcher, configure(tmp_path))
    one.await_serving()
    # The socket accepts before the log says so.
    one.await_line(f"OpenFlow over TCP on 127.0.0.1:{one.openflow}\n")
    one.await_line(f"REST on 127.0.0.1:{one.rest}\n")
    text = one.log.read_text()
    assert "WARNING" not in text.replace("WARNING no state_dir", "") and "TLS" not in text
    # Linux routes all of 127.0.0.0/8 to this host; a server on every address would answer here too.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", one.openflow), timeout=120)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_another_address_for_switches_is_had_for_the_asking_and_warned_of(
    tmp_path: Path, starts: ExitStack, host: str
) -> None:
    one = started(starts, LAUNCHERS["evbridge"], configure(tmp_path), "--ofp-listen-host", host)
    one.await_serving()
    one.await_line("can pose as a switch that is not connected: use TLS")
    socket.create_connection(("127.0.0.1" if host == "0.0.0.0" else "::1", one.openflow), timeout=120).close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_in_good_order(
    launcher: list[str], tmp_path: Path, starts: ExitStack, number: signal.Signals
) -> None:
    folder = configure(tmp_path, "state_dir: state\n")
    one = started(starts, launcher, folder)
    one.await_serving()
    # A connection that does nothing keeps nobody.
    with socket.create_connection(("127.0.0.1", one.rest), timeout=120):
        one.process.send_signal(number)
        # Far below the 12 s that joining the clock took, far above what ending takes.
        one.process.wait(10)
    assert one.process.returncode == -number
    text = one.log.read_text()
    assert f"ending upon {number.name}" in text and "Traceback" not in text
    assert not list((folder / "state").glob("*-wal")), "the store was not closed"


#: The module with which ``evbridge`` begins: what is imported after it is imported under its eyes.
BEGUN = "ryu_apps.cli.start"
SERVES = "REST on"


@pytest.mark.parametrize("which", range(0, 1500, 100))
def test_a_signal_ends_a_start_at_whatever_moment_it_comes(tmp_path: Path, starts: ExitStack, which: int) -> None:
    """``which`` line of the interpreter's own report of what it has imported is followed by the signal."""
    number = (signal.SIGINT, signal.SIGTERM)[which // 100 % 2]
    one = started(starts, LAUNCHERS["evbridge"], configure(tmp_path), piped=True, PYTHONPROFILEIMPORTTIME="1")
    assert one.process.stderr is not None
    lines = iter(one.process.stderr)
    told = [next(line for line in lines if BEGUN in line), next(lines)]
    while len(told) <= which and SERVES not in told[-1]:
        told.append(next(lines))
    one.process.send_signal(number)
    told += lines
    assert one.process.wait(DEADLINE) == -number
    text = "".join(told)
    assert text.count(f"ending upon {number.name}") == 1, text[-3000:]
    assert "Traceback" not in text and "KeyboardInterrupt" not in text


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--log", "/no/such/log"], "the log cannot be written: /no/such/log: No such file or directory"),
        (["--log-dir", "/etc/passwd"], "the log cannot be written: /etc/passwd/"),
        (["--log-file-mode", "rw", "--log", "/dev/null"], "the log cannot be written: invalid literal"),
        (["--log-config-file", "/no/such"], "--log-config-file /no/such: there is no such file"),
        (["--pid-file", "/no/such/pid"], "--pid-file /no/such/pid: No such file or directory"),
        (["--config-file", "/no/such"], "Failed to find some config files: /no/such"),
        (["--wsapi-prot", "99"], "unrecognized arguments: --wsapi-prot (did you mean --wsapi-port?)"),
        (["--lgo", "log"], "unrecognized arguments: --lgo (did you mean --log?)"),
        (["--wsapi-port", "www"], "argument --wsapi_port: Invalid Integer value: www"),
        (["--wsapi-port", "99999"], "REST: 127.0.0.1:99999: a port is a number up to 65535"),
        (["ryu.app.ofctl_rset"], "there is no app ryu.app.ofctl_rset (did you mean ryu.app.ofctl_rest?)"),
        (["./nothing.py"], "there is no app ./nothing.py"),
        (["/etc"], "/etc is a directory, not an app"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_keeps_it_from_starting_is_one_line(
    tmp_path: Path, starts: ExitStack, options: list[str], complaint: str
) -> None:
    one = started(starts, LAUNCHERS["evbridge"], configure(tmp_path), *options)
    assert one.fails().startswith(f"evbridge cannot start: {complaint}")


#: Time, component and level of a line.
HEAD = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d [A-Za-z_.]+ (DEBUG|INFO|WARNING) "


def test_each_line_has_time_component_and_level_and_nothing_else_is_said(
    tmp_path: Path, starts: ExitStack, launcher: list[str]
) -> None:
    log = tmp_path / "a.log"
    one = started(starts, launcher, configure(tmp_path), "--log-file", str(log))
    one.await_serving()
    one.await_line("REST on")
    one.await_line(r"switch\.awaited")
    lines = one.log.read_text().splitlines()
    for line in lines:
        assert re.match(HEAD + r"\w", line), line
    assert set(log.read_text().splitlines()) >= set(lines)
    assert re.search(r" EvbBridge INFO switch\.awaited 0000000000000001$", "\n".join(lines), re.MULTILINE)


def test_a_log_of_json_has_the_fields_of_each_event(tmp_path: Path, starts: ExitStack, launcher: list[str]) -> None:
    one = started(starts, launcher, configure(tmp_path), EVBRIDGE_LOG_FORMAT="json")
    one.await_serving()
    one.await_line("REST on")
    one.await_line(r"switch\.awaited")
    lines = [json.loads(line) for line in one.log.read_text().splitlines()]
    assert all(line.keys() >= {"time", "component", "level", "message"} for line in lines)
    events = [line["event"] for line in lines if "event" in line]
    awaited = {"kind": "switch.awaited", "dpid": "0000000000000001", "port": None, "vsi": None, "detail": {}}
    assert awaited in events


def test_a_format_that_does_not_exist_is_refused(tmp_path: Path, starts: ExitStack) -> None:
    one = started(starts, LAUNCHERS["ryu-manager"], configure(tmp_path), EVBRIDGE_LOG_FORMAT="xml")
    assert one.fails().startswith("evbridge cannot start: EVBRIDGE_LOG_FORMAT=xml: text or json was expected")


@pytest.mark.parametrize(("level", "told"), [("info", False), ("debug", True)])
def test_requests_are_logged_for_those_who_debug(tmp_path: Path, starts: ExitStack, level: str, told: bool) -> None:
    one = started(starts, LAUNCHERS["evbridge"], configure(tmp_path), "--log-level", level)
    one.await_serving()
    one.await_line("REST on")
    with urllib.request.urlopen(f"http://127.0.0.1:{one.rest}/evb/status", timeout=DEADLINE) as answer:
        assert answer.status == 200
    # What is logged of it is logged before the process ends.
    one.process.terminate()
    one.process.wait(DEADLINE)
    assert ("GET /evb/status" in one.log.read_text()) is told


def test_the_journal_writes_the_times_itself(tmp_path: Path, starts: ExitStack) -> None:
    (tmp_path / "journal").touch()
    status = (tmp_path / "journal").stat()
    stream = f"{status.st_dev}:{status.st_ino}"
    one = started(starts, LAUNCHERS["evbridge"], configure(tmp_path), log="journal", JOURNAL_STREAM=stream)
    assert re.fullmatch(r"[a-z_.]+ INFO loading app .*", one.await_line("^.+"))


@pytest.mark.parametrize("name", ["notify", "@evbridge-test-{pid}"])
def test_systemd_is_told_that_it_is_ready_that_it_lives_and_that_it_ends(
    launcher: list[str], tmp_path: Path, starts: ExitStack, name: str
) -> None:
    at = name.format(pid=os.getpid()) if name.startswith("@") else str(tmp_path / name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + at[1:] if at.startswith("@") else at)
        systemd.settimeout(DEADLINE)
        one = started(starts, launcher, configure(tmp_path), NOTIFY_SOCKET=at, WATCHDOG_USEC="300000")
        assert systemd.recv(100) == b"READY=1"
        # Where it is said to listen: no wait is needed any more.
        socket.create_connection(("127.0.0.1", one.rest), timeout=120).close()
        socket.create_connection(("127.0.0.1", one.openflow), timeout=120).close()
        assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        one.process.terminate()
        assert told(systemd) == "STOPPING=1"


def test_systemd_is_told_when_a_reload_begins_and_what_has_become_of_it(tmp_path: Path, starts: ExitStack) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE)
        folder = configure(tmp_path)
        one = started(starts, LAUNCHERS["evbridge"], folder, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert told(systemd) == "READY=1"
        one.process.send_signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told(systemd))
        assert told(systemd) == "READY=1\nSTATUS="
        configure(tmp_path, "colour: blue\n")
        one.process.send_signal(signal.SIGHUP)
        assert told(systemd).startswith("RELOADING=1\n")
        assert told(systemd).startswith(f"READY=1\nSTATUS=refused: {folder / 'evbridge.yaml'}:")


def held(folder: Path) -> Path:
    """Configure policies that are read only when they have been written into the returned pipe."""
    (folder / "evbridge.yaml").write_text("version: 1\npolicies: [held.yaml]\nstate_dir: state\n" + SWITCH)
    os.mkfifo(folder / "held.yaml")
    return folder / "held.yaml"


def test_it_is_ready_when_its_policies_are_read_and_a_reload_waits_for_that(tmp_path: Path, starts: ExitStack) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE)
        policies = held(tmp_path)
        one = started(starts, LAUNCHERS["evbridge"], tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert told(systemd) == "STATUS=reading policies"
        one.await_serving()
        one.process.send_signal(signal.SIGHUP)
        policies.write_text(POLICY)
        assert [told(systemd), told(systemd)] == ["STATUS=", "READY=1"]
        assert told(systemd).startswith("RELOADING=1\n")
        policies.write_text(POLICY)
        assert told(systemd) == "READY=1\nSTATUS="


def test_policies_that_are_refused_end_it_although_it_listens(tmp_path: Path, starts: ExitStack) -> None:
    policies = held(tmp_path)
    one = started(starts, LAUNCHERS["evbridge"], tmp_path)
    one.await_serving()
    policies.write_text("version: 1\nvsi_type: {type_id: 1, version: 1, name: web, colour: blue}\n")
    assert one.process.wait(DEADLINE) == 1
    lines = one.log.read_text().splitlines()
    assert lines[-2] == "evbridge cannot start:" and lines[-1].startswith(f"{policies}:2:")
    assert "Traceback" not in one.log.read_text()
    assert not list((tmp_path / "state").glob("*-wal")), "the store was not closed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_it_reads_policies(tmp_path: Path, starts: ExitStack, number: signal.Signals) -> None:
    held(tmp_path)
    one = started(starts, LAUNCHERS["evbridge"], tmp_path)
    one.await_serving()
    one.await_line("reading policies")
    one.process.send_signal(number)
    one.process.wait(10)
    assert one.process.returncode == -number
    text = one.log.read_text()
    assert f"ending upon {number.name}" in text and "Traceback" not in text


def told(systemd: socket.socket) -> str:
    """Return the next notification that is no sign of life."""
    while (state := systemd.recv(1000)) == b"WATCHDOG=1":
        pass
    return state.decode()
