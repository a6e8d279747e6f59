"""A lab at a pipe: requests, both ladders rung by rung, both worksheets, mistakes; and Ctrl-C at a terminal."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import pytest

from mininet_tests.test_interrupt import Terminal
from ryu_apps.testbed.harness.sandbox import inside

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

EVBRIDGE = str(Path(sys.executable).with_name("evbridge"))
#: Printed behind the answer to the line before: the pipe has no other sign of its end.
END = "no verb 'over'"


class Typist:
    """A lab whose lines are typed when the answer to the one before is there."""

    def __init__(self, output: Path) -> None:
        command = [EVBRIDGE, "lab", "--output", str(output)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def type(self, *lines: str) -> str:
        """The answer to some lines, of which the last one ends at the prompt."""
        typed, shown = self._pipe(self.process.stdin), self._pipe(self.process.stdout)
        typed.write("".join(f"{line}\n" for line in (*lines, "over")))
        typed.flush()
        answer = ""
        for line in shown:
            if END in line:
                return answer
            answer += line
        raise AssertionError(answer)

    @staticmethod
    def _pipe(end: IO[str] | None) -> IO[str]:
        assert end is not None
        return end

    def end(self) -> int:
        """The exit status after the end of input."""
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def network() -> Iterator[None]:
    with inside():
        yield


def added(answer: str, switch: str) -> int:
    """Number of rules with a '+' under a switch."""
    part = re.split(r"^ *s\d: ", answer.partition(f"{switch}: ")[2], maxsplit=1, flags=re.MULTILINE)[0]
    hidden = [int(number) for number in re.findall(r"^ *\+ \w+: and (\d+) more$", part, re.MULTILINE)]
    shown = re.findall(r"^ *\+ \w+: (?!and \d+ more$)", part, re.MULTILINE)
    return sum(hidden) + len(shown)


def rungs(answer: str) -> dict[str, str]:
    """The text behind each rung of a move, by the step."""
    _, *parts = re.split(r"^rung \d+, ([a-z ]+): ", answer, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def first_worksheet(lab: Typist) -> None:
    """Do the experiments, and answer: everything right, after a wrong answer and a mistake."""
    assert "no answer" in lab.type("ping vm1 client")
    staged = lab.type("preassoc vm1 hv1")
    assert "+ active" not in staged and f"s1: {added(staged, 's1')} staged" in lab.type("dump s1 staged")
    assert "no answer" in lab.type("ping vm1 client")
    opened = lab.type("assoc vm1 hv1")
    activated = re.search(r"= (\d+) rules, staged before, are active now", opened)
    assert activated is not None and int(activated[1]) == added(staged, "s1") > 100
    assert "answered by client" in lab.type("ping vm1 client")
    assert "answered by vm1" in lab.type("connect client vm1 80")
    second = lab.type("preassoc vm2 hv1")
    explained = lab.type("explain client eth_src=client eth_dst=vm1 ipv4_src=client ipv4_dst=vm1 tcp_dst=23")
    assert "result   dropped at s1: ACL_TO" in explained
    assert "refused: Insufficient resources at bridge" in lab.type("assoc vm1 hv2")
    assert "granted" in lab.type("deassoc vm1 hv1")
    right = {
        "1.1": "no",
        "1.2": str(added(staged, "s1")),
        "1.3": "0",
        "1.4": "no",
        "1.5": str(added(opened, "s1")),
        "1.6": "ingress, forward",
        "1.7": activated[1],
        "1.8": str(added(opened, "s2")),
        "1.9": "yes",
        "1.10": str(added(second, "s1")),
        "1.11": "ACL_TO",
        "1.12": "refused",
        "1.13": "0",
    }
    assert "1.2 wrong: count the lines" in lab.type("answer 1.2 7")
    assert "1.1 not answered" in lab.type("check 1")
    answers = lab.type(*(f"answer {number} {value}" for number, value in right.items()))
    assert "wrong" not in answers
    assert "worksheet 1: 13 of 13 right" in lab.type("check 1")


def second_worksheet(lab: Typist) -> None:
    """Both ladders, the first one in step mode with looks between its rungs; a halt; a move by hand."""
    lab.type("assoc vm1 hv1", "step on")
    quick = lab.type("migrate vm1 hv2", "", "dump s2", "assoc vm2 hv1", "next", "", "nodes", "run")
    assert "assoc: not while a move waits at a rung" in quick
    assert "active at hv1, staged at hv2" in quick and "vm1 is at hv2\n" in quick
    back = rungs(lab.type("migrate vm1 hv1 safest-exchange", "run"))
    halted = lab.type("migrate vm1 hv2", "", "", "", "halt")
    assert "vm1 is at hv1, the move was taken back: halted before associate" in halted
    lab.type("preassoc vm1 hv2", "plug vm1 hv2")
    by_hand = lab.type("assoc vm1 hv2")
    source = by_hand.partition("s1: ")[2].partition("s2: ")[0]
    hidden = sum(map(int, re.findall(r"- \w+: and (\d+) more", source)))
    lost = len(re.findall(r"^ +- \w+: (?!and)", source, re.MULTILINE)) + hidden
    at = rungs(quick)
    assert list(at) == ["reserve", "copy", "suspend", "associate", "resume", "let go"]
    assert list(back) == ["reserve", "copy", "suspend", "let go", "associate", "resume"]
    right = {
        "2.1": "reserve",
        "2.2": str(added(at["reserve"], "s2")),
        "2.3": str(added(at["associate"], "s2")),
        "2.4": "associate",
        "2.5": "0",
        "2.6": "associate",
        "2.7": "let go",
        "2.8": "1",
        "2.9": "0",
        "2.10": "hv1",
        "2.11": str(lost),
    }
    assert "2.6 wrong" in lab.type("answer 2.6 let go")
    lab.type(*(f"answer {number} {value}" for number, value in right.items()))
    assert "worksheet 2: 11 of 11 right" in lab.type("check 2")


def test_both_worksheets_are_solved_at_a_pipe(network: None, tmp_path: Path) -> None:
    lab = Typist(tmp_path)
    first_worksheet(lab)
    assert "2 ports" in lab.type("status") and "staged" in lab.type("vsi vm2")
    assert "perhaps 'preassoc'" in lab.type("preasoc vm1 hv1")
    second_worksheet(lab)
    assert lab.end() == 1  # there were mistakes
    checked = subprocess.run([EVBRIDGE, "lab", "check", "2", str(tmp_path)], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "worksheet 2: 11 of 11 right")
    assert list(Path("/run").glob("evbridge-*")) == []


def test_ctrl_c_at_a_rung_takes_everything_down(network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal, with completion, history, and the live page beside it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    terminal = Terminal(tmp_path.name, EVBRIDGE, "lab", "--page", "--port", "8089", "--output", str(tmp_path / "lab"))
    terminal.until(b"lab> ")
    with urlopen("http://127.0.0.1:8089/", timeout=30) as page:
        assert b"<html" in page.read()
    terminal.type(b"as\tvm1 hv1\nstep on\nmigrate vm1 hv2\n\n")
    # At once, before the lab waits for a key: this has been lost.
    terminal.until(b"rung 2, copy")
    assert terminal.press_ctrl_c() == 1
    assert b"granted" in terminal.shown
    assert b"Traceback" not in terminal.shown, terminal.shown[-4000:]
    assert "assoc vm1 hv1" in (tmp_path / ".evbridge_lab_history").read_text(encoding="utf-8").splitlines()
    assert terminal.left_behind() == []
    assert list(Path("/run").glob("evbridge-*")) == []
