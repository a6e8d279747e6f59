"""Any text is answered by the import with diagnostics: no exception, no endless work."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ryu_apps.evb.policy.diagnostic import has_errors
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.ovf.envelope import read_package
from ryu_apps.ovf.instances import instances_text, load_instances
from ryu_apps.ovf.markup import read_markup
from ryu_apps.ovf.names import PREFIXES
from tests.worlds.effort import calls

GOLDEN = Path(__file__).parents[1] / "golden" / "ovf"
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(GOLDEN.glob("*/*.ovf")) + sorted(GOLDEN.glob("*/*.xml"))]
GOOD = [text for text in TEXTS if "Whatever cannot be mapped" not in text]

#: What stands in good files, and what would do harm in it.
PIECES = [
    *(
        "<",
        ">",
        "</",
        "/>",
        "&amp;",
        "&#0;",
        "&#x110000;",
        "&x;",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?x ?>",
        "\x00",
        "\ud800",
    ),
    *("<!DOCTYPE a>", "<!ENTITY a 'b'>", "xmlns=''", "xmlns:epasd='urn:x'", " xsi:nil='true'", "ovf:required='false'"),
    *(
        "1",
        "-1",
        "0x10",
        "99999999999999999999",
        "5.5",
        "true",
        "::",
        "10.0.0.1/8",
        "255.255.0.0",
        "AAAA",
        "ffff",
        ",",
        "-",
    ),
    *(
        "<Item/>",
        "<NetworkPortProfile/>",
        "<EthernetPortItem/>",
        "<VirtualSystem ovf:id='x'/>",
        "<evb:Policy>a: [</evb:Policy>",
    ),
    *(
        "epasd:VSITypeID",
        "epasd:PortVID",
        "fl:Direction",
        "fe:Action",
        "ip:HdrIPVersion",
        "eth:HdrVLANID8021",
        "npp:",
        "ovf:",
    ),
    *PREFIXES.values(),
]


def fetch(uri: str) -> tuple[str, str] | str:
    return ("p.xml", TEXTS[len(uri) % len(TEXTS)]) if "xml" in uri else "there is nothing"


def answered(text: str) -> None:
    package, diagnostics = read_package((("x.ovf", text),), fetch, SECTIONS)
    assert (package is None) == has_errors(diagnostics)
    for diagnostic in diagnostics:
        assert diagnostic.line >= 1 and diagnostic.column >= 1
        assert diagnostic.reason
        assert "\n" not in str(diagnostic)
    if package is not None:
        assert load_instances("i.yaml", instances_text(package))[0] is not None


@settings(max_examples=300)
@given(text=st.text(max_size=200))
@example(text="\ufeff").via("byte order mark alone")
@example(text="<?xml version='1.0' encoding='utf-16'?><a/>").via("declared encoding UTF-16")
@example(text="<?xml version='1.1'?><a/>").via("XML 1.1")
@example(text="<a xmlns='" + "x" * 100_000 + "'/>").via("very long namespace")
def test_any_text_is_answered(text: str) -> None:
    answered(text)


@settings(max_examples=300)
@given(text=st.text(alphabet="<>/&;#![]-'\"=:? abx\n", max_size=80))
def test_any_heap_of_punctuation_is_answered(text: str) -> None:
    answered(text)


@settings(max_examples=400)
@given(data=st.data())
def test_a_good_package_with_a_piece_replaced_is_answered(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES]) | st.text(max_size=4)) + text[end:]
    answered(text)


@settings(max_examples=200)
@given(data=st.data())
def test_a_good_package_with_a_value_replaced_is_answered(data: st.DataObject) -> None:
    """The markup stays sound, so that it is the meaning that is odd."""
    text = data.draw(st.sampled_from(TEXTS))
    places = [place for place in range(len(text) - 1) if text[place] == ">" and text[place + 1] not in "\n<"]
    start = data.draw(st.sampled_from(places)) + 1
    end = text.index("<", start)
    value = data.draw(st.sampled_from([piece for piece in PIECES if "<" not in piece and "&" not in piece]))
    answered(text[:start] + value + text[end:])


@settings(max_examples=150)
@given(data=st.data())
def test_a_good_package_with_an_element_left_out_or_doubled_is_answered(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(TEXTS)).splitlines(keepends=True)
    index = data.draw(st.integers(0, len(lines) - 1))
    answered(
        "".join([*lines[:index], *(lines[index : index + 1] * data.draw(st.sampled_from([0, 2]))), *lines[index + 1 :]])
    )


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_package_that_was_cut_off_is_no_package(text: str) -> None:
    whole = len(text.rstrip())
    for length in range(0, whole, max(1, whole // 40)):
        root, found = read_markup("x.ovf", text[:length])
        assert root is None
        assert len(found) == 1


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_a_declaration_is_refused_in_whatever_it_stands(text: str) -> None:
    laughs = "".join(f"<!ENTITY l{number + 1} '{f'&l{number};' * 10}'>" for number in range(12))
    place = text.index("<", 5) if text.startswith("<?xml") else 0
    bomb = f"{text[:place]}<!DOCTYPE x [<!ENTITY l0 'ha'>{laughs}]>{text[place:]}".replace("</", "&l12;</")
    package, found = read_package((("x.ovf", bomb),), fetch, SECTIONS)
    assert package is None
    assert "a document type declaration is refused" in found[0].reason
    assert calls(lambda: read_package((("x.ovf", bomb),), fetch, SECTIONS)) < 1000


@pytest.mark.parametrize(
    "harm",
    [
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{chr(98 + number)}: &{chr(98 + number)} [{','.join(['*' + chr(97 + number)] * 10)}]\n"
            for number in range(9)
        ),
        "[" * 5000,
        "a: " * 5000,
        "? " * 5000,
    ],
    ids=["aliases", "brackets", "keys", "questions"],
)
def test_words_of_our_own_do_no_harm_however_often(harm: str) -> None:
    """The work for all of a package is bounded, not that for each."""
    (good,) = [text for text in GOOD if "evb:Policy>neighbour_discovery" in text]
    start = good.index("<npp:NetworkPortProfile>")
    end = good.index("</npp:NetworkPortProfile>") + len("</npp:NetworkPortProfile>")
    profile = good[start:end].replace("neighbour_discovery: false\n", harm.replace("&", "&amp;"))
    many = "".join(profile.replace(">300<", f">{number}<") for number in range(1000, 1060))
    assert calls(lambda: answered(good[:start] + many + good[end:])) < 25_000_000
