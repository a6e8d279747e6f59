"""Lines of the lab: verbs, their arguments, and the mistakes in a line.  Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from typing import NamedTuple

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.vcm.move_events import LIVE_LADDERS


class LineError(TestbedError):
    """A mistake in a line; nothing was done."""


class Argument(Enum):
    """Kinds of arguments; the values are the words of usage lines."""

    VM = "VM"
    HYPERVISOR = "HYPERVISOR"
    SWITCH = "SWITCH"
    END = "VM|HOST"
    LADDER = "LADDER"
    MODE = "plain"
    STATE = "staged|active|learnt|infrastructure|all"
    ON_OFF = "on|off"
    WORKSHEET = "WORKSHEET"
    QUESTION = "QUESTION"
    PLACE = "SWITCH:PORT|NAME"
    VALUE = "VALUE"
    PORT_NUMBER = "PORT"
    VERB = "VERB"


class Verb(NamedTuple):
    """A verb of the lab.

    Attributes:
        needed, optional: arguments in their order.
        help: a line of help.
        is_open: more words may follow.
        looks: it changes nothing, so it may be used while a move waits at a rung.
    """

    needed: tuple[Argument, ...]
    optional: tuple[Argument, ...]
    help: str
    is_open: bool = False
    looks: bool = False


_VM, _AT = Argument.VM, Argument.HYPERVISOR
VERBS: dict[str, Verb] = {
    "preassoc": Verb((_VM, _AT), (Argument.MODE,), "Pre-Associate with Resource Reservation; 'plain': without it"),
    "assoc": Verb((_VM, _AT), (), "Associate"),
    "deassoc": Verb((_VM, _AT), (), "De-Associate"),
    "plug": Verb((_VM, _AT), (), "suspend a VM, move its interface to a hypervisor, resume it there"),
    "migrate": Verb(
        (_VM, _AT), (Argument.LADDER,), "move a VM along a ladder, minimize-latency unless another is named"
    ),
    "step": Verb((), (Argument.ON_OFF,), "step mode: 'migrate' waits at every rung and shows what it has changed"),
    "dump": Verb((), (Argument.SWITCH, Argument.STATE), "show the rules that switches have, by state", looks=True),
    "ping": Verb((Argument.END, Argument.END), (), "send an echo request", looks=True),
    "connect": Verb((Argument.END, Argument.END, Argument.PORT_NUMBER), (), "open a TCP connection", looks=True),
    "nodes": Verb((), (), "show hypervisors, end systems and VMs, and where each is", looks=True),
    "explain": Verb((Argument.PLACE,), (), "say what happens to a frame: 'evbridge explain'", is_open=True, looks=True),
    "worksheet": Verb((Argument.WORKSHEET,), (), "show the questions of a worksheet", looks=True),
    "answer": Verb((Argument.QUESTION, Argument.VALUE), (), "answer a question", is_open=True, looks=True),
    "check": Verb((Argument.WORKSHEET,), (), "check the answers to a worksheet", looks=True),
    "help": Verb((), (Argument.VERB,), "show the verbs, or one of them", looks=True),
    "exit": Verb((), (), "take the cluster down; so do 'quit', Ctrl-C and the end of input"),
    "quit": Verb((), (), "the same as 'exit'"),
}
#: Commands of ``evbridge`` that ask the bridge of the lab.
COMMANDS = ("status", "vsis", "vsi", "migrations", "flows", "stations", "events")
VERBS |= {name: Verb((), (), f"'evbridge {name}'", is_open=True, looks=True) for name in COMMANDS}

#: Words that an argument may be, where they do not depend on the cluster.
_FIXED: dict[Argument, tuple[str, ...]] = {
    Argument.LADDER: tuple(ladder.value for ladder in LIVE_LADDERS),
    Argument.MODE: ("plain",),
    Argument.STATE: tuple(Argument.STATE.value.split("|")),
    Argument.ON_OFF: ("on", "off"),
    Argument.VERB: tuple(VERBS),
}
_NOUNS = {Argument.VM: "VM", Argument.END: "VM or host"}

#: Words that an argument may be.
Words = Mapping[Argument, Sequence[str]]


class Request(NamedTuple):
    """A line without mistakes; arguments that were left out are empty texts."""

    verb: str
    arguments: tuple[str, ...]


def usage(name: str) -> str:
    """The form of a verb's lines."""
    verb = VERBS[name]
    words = [name, *(each.value for each in verb.needed), *(f"[{each.value}]" for each in verb.optional)]
    return " ".join([*words, "..."] if verb.is_open else words)


def read_line(line: str, known: Words) -> Request | None:
    """Read a line; None for an empty one, or a comment.

    Args:
        known: words of the arguments that depend on the cluster.

    Raises:
        LineError: it has a mistake.
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise LineError(f"{error}: {line.strip()}") from None
    if not words:
        return None
    name, *given = words
    if name not in VERBS:
        raise LineError(f"no verb {name!r}{_nearest(name, tuple(VERBS))}; 'help' lists them")
    verb = VERBS[name]
    _check_number(name, verb, len(given))
    arguments = _placed(verb, given)
    for argument, word in zip((*verb.needed, *verb.optional), arguments, strict=False):
        if word:
            _check_word(argument, word, known)
    return Request(name, arguments)


def _check_number(name: str, verb: Verb, given: int) -> None:
    most = len(verb.needed) + len(verb.optional)
    if given < len(verb.needed) or (given > most and not verb.is_open):
        raise LineError(f"usage: {usage(name)}")


def _placed(verb: Verb, given: list[str]) -> tuple[str, ...]:
    """The words at the places of the arguments: of two optional ones the first may be left out alone."""
    most = len(verb.needed) + len(verb.optional)
    if len(verb.optional) == 2 and len(given) == len(verb.needed) + 1 and given[-1] in _FIXED[verb.optional[1]]:
        given = [*given[:-1], "", given[-1]]
    return (*given, *[""] * (most - len(given)))


def _check_word(argument: Argument, word: str, known: Words) -> None:
    if argument is Argument.PORT_NUMBER:
        if not word.isdigit() or not 1 <= int(word) <= 65535:
            raise LineError(f"{word!r} is no port: 1 to 65535")
        return
    possible = choices(argument, known)
    if possible and word not in possible:
        noun = _NOUNS.get(argument, argument.value.lower() if "|" not in argument.value else "such word")
        raise LineError(f"no {noun} {word!r}{_nearest(word, possible)}; there is {', '.join(possible)}")


def _nearest(word: str, possible: Sequence[str]) -> str:
    near = get_close_matches(word, possible, 1)
    return f", perhaps {near[0]!r}" if near else ""


def choices(argument: Argument, known: Words) -> tuple[str, ...]:
    """The words that an argument may be; none: anything."""
    return tuple(known.get(argument, ())) or _FIXED.get(argument, ())


def completions(line: str, known: Words) -> list[str]:
    """The words with which the last word of an unfinished line may be completed."""
    words = line.split()
    begun = "" if not line or line[-1].isspace() else words.pop()
    if not words:
        possible: Sequence[str] = tuple(VERBS)
    elif words[0] in VERBS:
        verb = VERBS[words[0]]
        places = (*verb.needed, *verb.optional)[len(words) - 1 :]
        possible = [word for argument in places[:1] for word in choices(argument, known)]
    else:
        possible = ()
    return [word for word in possible if word.startswith(begun)]
