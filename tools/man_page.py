"""The manual page of a command line, from its help: ``python -m tools.man_page MODULE:GROUP NAME``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module

import click


def man_page(group: click.Group, name: str) -> str:
    """Return the page, section 8, in the language of man(7)."""
    summary = _paragraphs(group)[0]
    lines = [f'.TH "{name.upper()}" 8 "" evbridge', ".SH NAME", rf"{_text(name)} \- {_text(summary.rstrip('.'))}"]
    lines += [".SH SYNOPSIS", rf"\fB{_text(name)}\fR \fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]"]
    lines += [".SH DESCRIPTION", *(line for text in _paragraphs(group)[1:] for line in (".PP", _text(text)))]
    lines.append(".SH COMMANDS")
    for command in group.commands.values():
        lines += _command(command)
    lines += [".SH FILES", *_FILES]
    return "\n".join(lines) + "\n"


_FILES = (
    ".TP",
    r"\fI/etc/evbridge/station.conf\fR",
    "Uplinks and options of the service.",
    ".TP",
    r"\fI/run/evbridge\-station\fR",
    "Control socket and state file.",
)


def _command(command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=command.name)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {_text(str(command.name))} {_text(usage)}"
    for text in _paragraphs(command):
        yield from (".PP", _text(text))
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", rf"\fB{_text(record[0])}\fR", _text(record[1]))


def _paragraphs(command: click.Command) -> list[str]:
    return [" ".join(text.split()) for text in (command.help or "").split("\n\n")]


def _text(text: str) -> str:
    """A line of text: a hyphen is the one of options, and no line begins with a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    place, name = sys.argv[1:]
    module, _, attribute = place.partition(":")
    print(man_page(getattr(import_module(module), attribute), name), end="")
