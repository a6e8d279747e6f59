"""Manual pages of a command line, from its help: ``python -m tools.man_page MODULE:GROUP NAME FOLDER [--split]``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

#: Files that a page names, by the name of the program.
_FILES = {
    "evbridge": {
        "/etc/evbridge/evbridge.yaml": "Switches, ports and policies.",
        "/etc/evbridge/bridge.conf": "Environment and options of the service.",
        "/etc/evbridge/tokens": "Tokens of REST clients.",
        "/var/lib/evbridge": "State: what has been granted to stations.",
        "/usr/share/doc/evbridge": "The manual's page on the configuration, and policies as examples.",
    },
    "evbridge-station": {
        "/etc/evbridge/station.conf": "Uplinks and options of the service.",
        "/run/evbridge-station": "Control socket and state file.",
    },
}


def man_page(command: click.Command, name: str, path: str) -> str:
    """Return the page of a command and of those in it, section 8, in the language of man(7).

    Args:
        command: with its help.
        name: of the page.
        path: words by which the command is called.
    """
    summary, *further = _paragraphs(command)
    lines = [*_head(name, summary), *_synopsis(command, path), ".SH DESCRIPTION"]
    for text in further or [summary]:
        lines += [".PP", _text(text)]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for words, nested in _commands(command):
            lines += _section(nested, words)
    elif command.params:
        lines += [".SH OPTIONS", *_parameters(command)]
    return _page([*lines, *_files(name)])


def overview(group: click.Group, name: str, elsewhere: frozenset[str]) -> str:
    """Return the page of a group whose commands have pages of their own.

    Args:
        group: with its help.
        name: of the page and of the program.
        elsewhere: commands without a page here.
    """
    lines = [*_head(name, _paragraphs(group)[0]), *_synopsis(group, name), ".SH DESCRIPTION"]
    lines += [".PP", _text(_paragraphs(group)[0]), ".SH COMMANDS"]
    for words, command in _direct(group):
        lines += [".TP", rf"\fB{_text(words)}\fR", _text(_paragraphs(command)[0])]
    further = [rf"\fB{_text(f'{name}-{words}')}\fR(8)" for words, _ in _direct(group) if words not in elsewhere]
    return _page([*lines, *_files(name), ".SH SEE ALSO", ",\n".join(further)])


def pages(group: click.Group, name: str, elsewhere: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of the overview of a group and of the page of each of its commands."""
    yield name, overview(group, name, elsewhere)
    for words, command in _direct(group):
        if words not in elsewhere:
            yield f"{name}-{words}", man_page(command, f"{name}-{words}", f"{name} {words}")


def _page(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _files(name: str) -> Iterator[str]:
    if name in _FILES:
        yield ".SH FILES"
        for file, meaning in _FILES[name].items():
            yield from (".TP", rf"\fI{_text(file)}\fR", _text(meaning))


def _head(name: str, summary: str) -> list[str]:
    return [f'.TH "{name.upper()}" 8 "" evbridge', ".SH NAME", rf"{_text(name)} \- {_text(summary.rstrip('.'))}"]


def _synopsis(command: click.Command, path: str) -> list[str]:
    if isinstance(command, click.Group):
        words = r"\fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]"
    else:
        words = _text(_usage(command))
    return [".SH SYNOPSIS", rf"\fB{_text(path)}\fR {words}"]


def _direct(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield name, command


def _commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield the words and the command of each command in a group, those of groups in it, too."""
    for name, command in _direct(group):
        if isinstance(command, click.Group):
            yield from _commands(command, f"{above}{name} ")
        else:
            yield above + name, command


def _section(command: click.Command, words: str) -> Iterator[str]:
    yield f".SS {_text(words)} {_text(_usage(command))}"
    for text in _paragraphs(command):
        yield from (".PP", _text(text))
    yield from _parameters(command)


def _usage(command: click.Command) -> str:
    return " ".join(command.collect_usage_pieces(click.Context(command)))


def _parameters(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(click.Context(command))
        if record is not None and record[1]:
            yield from (".TP", rf"\fB{_text(record[0])}\fR", _text(record[1]))


def _paragraphs(command: click.Command) -> list[str]:
    return [" ".join(text.split()) for text in (command.help or "").split("\n\n")]


def _text(text: str) -> str:
    """A line of text: a hyphen is the one of options, and no line begins with a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main() -> None:
    """Write the pages that the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("group", metavar="MODULE:GROUP")
    parser.add_argument("name", help="of the program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", action="store_true", help="a page for each command")
    parser.add_argument("--without", action="append", default=[], metavar="COMMAND", help="its page is elsewhere")
    wanted = parser.parse_args()
    module, _, attribute = wanted.group.partition(":")
    group = getattr(import_module(module), attribute)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    made = pages(group, wanted.name, frozenset(wanted.without)) if wanted.split else None
    for name, text in made or [(wanted.name, man_page(group, wanted.name, wanted.name))]:
        (wanted.folder / f"{name}.8").write_text(text)


if __name__ == "__main__":
    main()
