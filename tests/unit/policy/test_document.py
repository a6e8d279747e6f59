"""YAML text to values: scalars of YAML 1.2, aliases, tags, one document, bounds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.yaml_events import MAX_DEPTH


def mistakes(text: str) -> list[str]:
    return [str(mistake).removeprefix("x:") for mistake in read_document("x", text).diagnostics]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((text, None) for text in ("", "~", "null", "Null", "NULL", "!!null x")),
        *((text, True) for text in ("true", "True", "TRUE", "!!bool true")),
        *((text, False) for text in ("false", "False", "FALSE")),
        *((text, text) for text in ("yes", "No", "on", "tRue", "=", "52:54:00:12:34:56", "1:30", "2020-01-01")),
        *(
            (text, text)
            for text in ("010", "00", "0b11", "0o8", "0xfg", "1_000", "1_0.5", ".inf", "-.inf", ".NaN", ".")
        ),
        *(("-0", 0), ("+1", 1), ("0x1F", 31), ("-0x1F", -31), ("0o17", 15), ("9" * 20, int("9" * 20))),
        *(("1.", 1.0), (".5", 0.5), ("+12.5", 12.5), ("1e3", 1000.0), ("1.5E+3", 1500.0), (".1e2", 10.0)),
        *(('"5"', "5"), ("'true'", "true"), ("!!str 5", "5"), ('!!int "5"', 5), ("!!float 5", 5.0)),
        *(
            ("!!int x", "x"),
            ("!!bool yes", "yes"),
            ("! 5", 5),
            ("!!timestamp x", "x"),
            ("!<tag:yaml.org,2002:int> 7", 7),
        ),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: object) -> None:
    found = read_document("x", f"a: {written}").data["a"]
    assert (found, type(found)) == (value, type(value))


def test_a_directive_does_not_change_the_scalars() -> None:
    assert read_document("x", "%YAML 1.1\n---\na: yes\nb: 010").data == {"a": "yes", "b": "010"}


def test_an_alias_stands_for_the_anchor_above_it() -> None:
    assert read_document("x", "- a: &x 1\n- *x\n- &x {b: 2}\n- *x").data == [{"a": 1}, 1, {"b": 2}, {"b": 2}]
    assert read_document("x", "&k a: 1\n*k : 2").diagnostics  # the same key, by its alias


def test_a_value_of_an_alias_has_the_place_of_its_text() -> None:
    document = read_document("x", "a: &x {b: 1}\nc: *x\n")
    assert document.value_place(("c", "b")) == (1, 11)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: *z", "1:4: not YAML: undefined alias 'z'"),
        ("&a [*a]", "1:1: an alias must not contain itself"),
        ("a: &x {b: [*x]}", "1:4: an alias must not contain itself"),
        ("a: 1\n---\nb: 1", "2:1: not YAML: more than one document"),
        ("a: !!set {b}", "1:4: tag !!set is not supported"),
        ("a: !x [1]", "1:4: tag !x is not supported"),
        ("a: !!python/object:os.system x", "1:4: tag !!python/object:os.system is not supported"),
        ("? [1]\n: 2", "1:3: a key must be a plain word or number"),
        ("b: 1\na: {b", "2:6: not YAML: while parsing a flow mapping, did not find expected ',' or '}'"),
        ("b: 1\na: {b\n", "3:1: not YAML: while parsing a flow mapping, did not find expected ',' or '}'"),
        ("é: \x01", "1:4: not YAML: character 0x1: control characters are not allowed"),
        ("a: \ud800", "1:4: not YAML: surrogates not allowed"),
        ("[" * (MAX_DEPTH + 1), f"1:{MAX_DEPTH + 1}: not YAML: nested deeper than {MAX_DEPTH} levels"),
        ("a: " + "x" * 1001, "1:4: text longer than 1000 characters"),
    ],
)
def test_a_mistake_is_told_at_its_place(text: str, mistake: str) -> None:
    assert mistake in mistakes(text)


def test_what_follows_a_refused_value_is_read() -> None:
    assert read_document("x", "a: !!set {x, y}\n? [1, {b: 2}]\n: {c: 3}\nd: 4\nd: {e: 5}\nf: 6").data == {
        "a": None,
        "d": 4,
        "f": 6,
    }


def test_aliases_nest_no_deeper_than_text() -> None:
    links = "".join(f"- &a{number} [*a{number - 1}]\n" for number in range(1, MAX_DEPTH))
    assert mistakes("- &a0 x\n" + links) == []
    assert any("nested deeper" in mistake for mistake in mistakes(f"- &a0 x\n{links}- [*a{MAX_DEPTH - 1}]\n"))


def test_without_libyaml_nothing_is_read_and_it_is_told_why() -> None:
    script = "import sys; sys.modules['yaml._yaml'] = None; import ryu_apps.evb.policy.document"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "PyYAML is installed without libyaml" in answer.stderr.splitlines()[-1]
