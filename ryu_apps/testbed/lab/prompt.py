"""The prompt of a lab: lines to verbs, verbs to what happens, and what happens to lines of text and the record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.lab.bench import Bench
from ryu_apps.testbed.lab.input import Lines
from ryu_apps.testbed.lab.notebook import Experiment, Notebook
from ryu_apps.testbed.lab.rules import change_lines, dump_lines
from ryu_apps.testbed.lab.stepping import RungObserver, migrate
from ryu_apps.testbed.lab.verbs import COMMANDS, VERBS, Argument, LineError, Request, completions, read_line, usage
from ryu_apps.testbed.lab.worksheet import check_lines
from ryu_apps.testbed.lab.worksheets import QUESTIONS, WORKSHEETS
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.vcm.move_events import Ladder

PROMPT, AT_RUNG = "lab> ", "rung> "
#: Rules of a state that are shown after a request.
SHOWN = 6
_MODES = {"assoc": VdptoolMode.ASSOCIATE, "deassoc": VdptoolMode.DEASSOCIATE}
_NEXT, _RUN, _HALT = "next", "run", "halt"
_AT_RUNG_HELP = (
    "Enter or 'next' takes the rung, 'run' all of them, 'halt' takes everything back; verbs that look work too"
)

#: Runs a command of ``evbridge``, which prints; raises TestbedError with the reason if it fails.
RunCommand = Callable[[str, tuple[str, ...]], None]


class Prompt:
    """Reads lines and carries them out until ``exit`` or the end of input.

    Attributes:
        mistakes: lines that could not be carried out.
    """

    def __init__(self, bench: Bench, notebook: Notebook, command: RunCommand) -> None:
        self.mistakes = 0
        self._bench, self._notebook, self._command = bench, notebook, command
        self._lines: Lines
        self._known = {**bench.words, Argument.WORKSHEET: tuple(WORKSHEETS), Argument.QUESTION: tuple(QUESTIONS)}
        #: Step mode for moves to come, and for the move that is under way.
        self._steps = self._stays = False
        self._ended = False
        self._verbs: dict[str, Callable[[tuple[str, ...]], None]] = {
            "preassoc": lambda words: self._request("preassoc", words),
            "assoc": lambda words: self._request("assoc", words),
            "deassoc": lambda words: self._request("deassoc", words),
            "plug": self._plug,
            "migrate": self._migrate,
            "step": self._step,
            "dump": self._dump,
            "ping": self._ping,
            "connect": self._connect,
            "nodes": lambda words: self._say(*self._bench.nodes()),
            "explain": self._explain,
            "worksheet": lambda words: self._say(*WORKSHEETS[words[0]].lines()),
            "answer": self._answer,
            "check": lambda words: self._say(*check_lines(WORKSHEETS[words[0]], self._notebook)),
            "help": self._help,
            "exit": self._exit,
            "quit": self._exit,
        }

    def run(self, lines: Lines) -> None:
        """Carry lines out."""
        self._lines = lines
        self._say("'help' lists the verbs, 'worksheet 1' has the first questions, 'exit' takes the cluster down.")
        while not self._ended:
            line = self._lines.read(PROMPT)
            if line is None:
                return
            self._carry_out(line)

    def _carry_out(self, line: str, looking: bool = False) -> None:
        """Carry a line out; a mistake, or a thing that cannot be done, is a line of text."""
        try:
            request = read_line(line, self._known)
            if request is None:
                return
            if looking and not VERBS[request.verb].looks:
                raise LineError(f"{request.verb}: not while a move waits at a rung; {_AT_RUNG_HELP}")
            self._perform(request)
        except TestbedError as error:
            self.mistakes += 1
            self._say(f"Error: {error}")

    def _perform(self, request: Request) -> None:
        if request.verb in COMMANDS:
            if {"-f", "--follow"} & set(request.arguments):
                raise LineError("--follow ends with Ctrl-C only, which ends the lab; the live page follows (--page)")
            self._command(request.verb, self._named(request.arguments))
        else:
            self._verbs[request.verb](request.arguments)

    def complete(self, line: str) -> list[str]:
        """Words that complete a line."""
        return completions(line, self._known)

    # --- requests and moves ---
    def _request(self, verb: str, words: tuple[str, ...]) -> None:
        vm, hypervisor, *plain = words
        mode = _MODES.get(verb) or (VdptoolMode.PREASSOCIATE if plain[0] else VdptoolMode.PREASSOCIATE_RR)
        before = self._bench.settled()
        answer = self._bench.request(mode, vm, hypervisor)
        after = self._bench.settled()
        outcome = "granted" if answer.granted else "refused"
        self._say(f"{outcome}: {answer.reason}" if answer.reason else f"{outcome} in {answer.milliseconds:.0f} ms")
        self._say(*change_lines(before, after, SHOWN))
        if verb == "assoc" and answer.granted and self._bench.homes[vm] != hypervisor:
            self._say(f"{vm} itself is at {self._bench.homes[vm]} still: plug {vm} {hypervisor}")
        switches = self._bench.switches
        self._notebook.note(Experiment(verb, words, outcome, answer.reason, before, after, switches))

    def _plug(self, words: tuple[str, ...]) -> None:
        vm, hypervisor = words
        before = self._bench.homes[vm]
        self._bench.plug(vm, hypervisor)
        self._say(f"{vm} was at {before} and is at {hypervisor}")
        self._notebook.note(Experiment("plug", words, "done", homes=self._bench.switches))

    def _migrate(self, words: tuple[str, ...]) -> None:
        vm, destination, named = words
        ladder = Ladder(named) if named else Ladder.MINIMIZE_LATENCY
        observer = RungObserver(self._bench, self._notebook, self._say, self._pause if self._steps else None)
        self._stays = self._steps
        before = observer.rules
        outcome, reason = migrate(self._bench, vm, destination, ladder, observer)
        if outcome is MoveOutcome.COMPLETED:
            self._say(f"{vm} is at {self._bench.homes[vm]}")
        else:
            self._say(f"{vm} is at {self._bench.homes[vm]}, the move was taken back: {reason}")
            self._say(*change_lines(before, observer.rules, SHOWN))
        noted = (vm, destination, ladder.value, self._bench.homes[vm])
        self._notebook.note(
            Experiment("migrate", noted, outcome.value, reason, before, observer.rules, self._bench.switches)
        )

    def _step(self, words: tuple[str, ...]) -> None:
        self._steps = words[0] == "on" if words[0] else not self._steps
        self._say(f"step mode is {'on: migrate waits at every rung' if self._steps else 'off'}")

    def _pause(self, text: str, may_halt: bool) -> bool:
        """Wait before a rung; returns False to halt.  At the end of input the move is taken back if it can be."""
        self._say(text)
        while self._stays and not self._ended:
            line = self._lines.read(AT_RUNG)
            word = _HALT if line is None else line.strip() or _NEXT
            self._ended = self._ended or line is None
            if word == _RUN:
                self._stays = False
            elif word == _HALT and may_halt:
                self._stays = False
                return False
            elif word == _HALT and line is not None:
                self.mistakes += 1
                self._say("Error: too late to halt: this rung has to be taken")
            elif word == _NEXT:
                return True
            elif word == "help":
                self._say(_AT_RUNG_HELP)
            elif line is not None:
                self._carry_out(line, looking=True)
        return True

    # --- looking ---
    def _dump(self, words: tuple[str, ...]) -> None:
        switch, state = words
        found = {name: lines for name, lines in self._bench.snapshot().items() if switch in ("", name)}
        self._say(*dump_lines(found, state))

    def _ping(self, words: tuple[str, ...]) -> None:
        passed = self._bench.ping(*words)
        self._note_frame("ping", words, passed)

    def _connect(self, words: tuple[str, ...]) -> None:
        origin, target, port = words
        self._note_frame("connect", words, self._bench.connect(origin, target, int(port)))

    def _note_frame(self, verb: str, words: tuple[str, ...], passed: bool) -> None:
        self._say(f"answered by {words[1]}" if passed else "no answer")
        outcome = "passed" if passed else "lost"
        tables = self._bench.snapshot()
        self._notebook.note(Experiment(verb, words, outcome, "", tables, tables, self._bench.switches))

    def _explain(self, words: tuple[str, ...]) -> None:
        with redirect_stdout(StringIO()) as printed:
            self._command("explain", self._named(words))
        text = printed.getvalue().rstrip()
        self._say(text)
        outcome = "dropped" if "result   dropped" in text else "out"
        self._notebook.note(Experiment("explain", words, outcome, text))

    def _named(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Arguments of a command, with VSIs and addresses in place of the names of VMs and end systems."""
        return tuple(self._replaced(word) for word in words)

    def _replaced(self, word: str) -> str:
        field, equals, name = word.rpartition("=")
        if name not in (*self._bench.vms, *self._bench.cluster.hosts):
            return word
        if not equals:
            return self._bench.vms[name].vsi.uuid if name in self._bench.vms else word
        value = self._bench.mac(name) if field.startswith("eth_") else self._bench.address(name)
        return f"{field}={value}"

    # --- worksheets, help ---
    def _answer(self, words: tuple[str, ...]) -> None:
        number, *value = words
        self._notebook.answer(number, " ".join(value))
        self._say(QUESTIONS[number].judged(self._notebook).words)

    def _help(self, words: tuple[str, ...]) -> None:
        for name in [words[0]] if words[0] else VERBS:
            self._say(f"{usage(name):<58} {VERBS[name].help}")

    def _exit(self, _words: tuple[str, ...]) -> None:
        self._ended = True

    def _say(self, *texts: str) -> None:
        for text in texts:
            print(text, flush=True)
