"""vdptool's exit status says nothing: what counts is the mode and the VSI in its text."""

from __future__ import annotations

import pytest

from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi, is_answer, read_answer, read_filters

UUID = "11223344-5566-7788-99aa-bbccddeeff00"


def said(mode: str, uuid: str = UUID, more: str = "") -> str:
    fields = f"\tmode = {mode}\n\tmgrid2 = mgr1\n\tuuid = {uuid}\n\tfilter = 100-52:54:00:aa:00:01\n"
    return f"Response from VDP\n{fields}{more}"


def test_the_mode_that_was_asked_for_is_a_success() -> None:
    assert read_answer(said("assoc"), VdptoolMode.ASSOCIATE, UUID) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            said("deassoc", more="Error returned by Bridge: Insufficient resources at bridge\n"),
            "Insufficient resources",
        ),
        (said("deassoc"), "refused by the bridge without a reason"),
        (said("deassoc", more="Internal Error : Ack not received from bridge\n"), "Ack not received"),
        (said("assoc", uuid="99999999-5566-7788-99aa-bbccddeeff00"), "an answer for another VSI"),
        ("FAILED: VDP protocol not supported on interface\n", "VDP protocol not supported"),
        ("", "no answer from the bridge"),
    ],
)
def test_everything_else_is_a_refusal_with_its_reason(text: str, reason: str) -> None:
    assert reason in read_answer(text, VdptoolMode.ASSOCIATE, UUID)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "timeout\n'M000080c4C3004uuid0024" + UUID + "' command timed out.\n",
        "FAILED: VSI association in progress\n",
        said("assoc", uuid="99999999-5566-7788-99aa-bbccddeeff00"),
    ],
    ids=["nothing in 5 s", "lldpad busy", "earlier request", "another VSI"],
)
def test_what_a_busy_machine_makes_vdptool_print_is_no_answer(text: str) -> None:
    assert not is_answer(text, UUID)


@pytest.mark.parametrize("text", [said("assoc"), said("deassoc"), "FAILED: Invalid parameters\n"])
def test_answers_are_those_about_the_vsi_and_refusals_of_lldpad(text: str) -> None:
    assert is_answer(text, UUID)


@pytest.mark.parametrize(
    ("requested", "printed", "granted"),
    [
        ("0-52:54:00:aa:00:01", "53348-52:54:00:aa:00:01", "53348-52:54:00:aa:00:01"),
        ("0-52:54:00:aa:00:01-1000", "100-52:54:00:aa:00:01-0", "100-52:54:00:aa:00:01-1000"),
        ("0--1000", "100--0", "100--1000"),
        ("100", "100", "100"),
    ],
)
def test_the_vid_of_an_answer_is_read_and_the_group_is_that_of_the_request(
    requested: str, printed: str, granted: str
) -> None:
    text = f"Response from VDP\n\tmode = assoc\n\tuuid = {UUID}\n\tfilter = {printed}\n"
    assert read_filters(text, (requested,)) == (granted,)


def test_a_request_names_everything_that_vdptool_insists_on() -> None:
    arguments = VdptoolVsi(UUID, 5, 4, ("100-52:54:00:aa:00:01",), "10.0.100.11").arguments(
        VdptoolMode.PREASSOCIATE_RR, True
    )
    assert arguments[:2] == ["-V", "preassoc-rr"]
    assert set(arguments[3::2]) == {
        "mode=preassoc-rr",
        "mgrid2=vcm1",
        "typeid=5",
        "typeidver=4",
        f"uuid={UUID}",
        "hints=to",
        "filter=100-52:54:00:aa:00:01",
        "oui=cisco,ipv4_addr=10.0.100.11",
    }
