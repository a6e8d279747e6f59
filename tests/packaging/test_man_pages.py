"""Manual pages from the help of a command line: every command and option, in the language of man(7)."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ryu_apps.cli.main import SUBCOMMANDS, main
from tools.man_page import man_page, pages

PAGES = dict(pages(main, "evbridge", frozenset({"station"})))


@click.group()
def tool() -> None:
    """Does a thing.

    .hidden files are left out, as is C:\\.
    """


@tool.group()
def part() -> None:
    """Have commands of its own."""


@part.command()
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="'Try' it.")
def deep(file: str, dry_run: bool) -> None:
    """Do it."""


def options(command: click.Command) -> Iterator[str]:
    """Every option of a command and of those in it that has a line in its help."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            nested = command.get_command(context, name)
            assert nested is not None
            yield from options(nested)
        return
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help and not parameter.hidden:
            yield max(parameter.opts, key=len)


def test_each_command_has_a_page_but_those_that_have_one_elsewhere() -> None:
    assert set(PAGES) == {"evbridge", *(f"evbridge-{name}" for name in SUBCOMMANDS if name != "station")}
    first = PAGES["evbridge"]
    further = first.partition(".SH SEE ALSO\n")[2]
    for name in SUBCOMMANDS:
        shown = name.replace("-", r"\-")
        assert rf"\fB{shown}\fR" in first
        assert (rf"\fBevbridge\-{shown}\fR(8)" in further) is (name != "station")


def test_each_option_is_on_the_page_of_its_command() -> None:
    context = click.Context(main)
    for name in SUBCOMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        found = set(options(command)) if name != "station" else set()
        assert {text for text in found if text.replace("-", r"\-") not in PAGES[f"evbridge-{name}"]} == set(), name


def test_text_is_no_request_and_a_hyphen_is_that_of_options() -> None:
    lines = man_page(tool, "tool", "tool").splitlines()
    assert lines[:3] == ['.TH "TOOL" 8 "" evbridge', ".SH NAME", r"tool \- Does a thing"]
    assert r"\&.hidden files are left out, as is C:\e." in lines
    assert ".SS part deep [OPTIONS] FILE" in lines
    assert lines[lines.index(r"\fB\-\-dry\-run\fR") + 1] == r"\&'Try' it."
