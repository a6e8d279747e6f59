"""The table of the election, step by step."""

from __future__ import annotations

import pytest

from ryu_apps.evb.cluster.election import OPENING, Election, ElectionInput, ElectionState
from ryu_apps.evb.cluster.lease import BEAT_KEY, LEASE_KEY, Beat, Lease, LeaseView, read_view
from ryu_apps.evb.cluster.outputs import Claim, ClaimReason, EndReason, Lead, StandAsideNow, Write

PATIENCE = 1.0
OTHER = Lease("other", 7, "http://other")


def shown(lease: Lease | None, beat: int = 0, patience: float = PATIENCE, version: int = 1) -> LeaseView:
    return LeaseView(lease, Beat(beat, patience), (version, beat + 1))


def fresh() -> Election:
    return Election("me", "http://me", PATIENCE)


def leading(now: float = 0.0, settled: bool = True) -> Election:
    """A member that has claimed a lease that nobody had."""
    election = fresh()
    assert election.show(LeaseView(), now) == []
    (claim,) = election.tick(now)
    assert isinstance(claim, Claim)
    election.claimed(claim.number, Lease("me", 1, "http://me"))
    assert election.answered(claim.number, ElectionInput.DONE, now) == [Lead(ClaimReason.FREE)]
    election.settled = settled
    return election


def renewal(election: Election, now: float) -> Write:
    (write,) = election.tick(now)
    assert isinstance(write, Write)
    return write


def confirm(election: Election, write: Write, now: float) -> None:
    assert election.answered(write.number, ElectionInput.DONE, now) == []


def test_lease_that_nobody_has_is_claimed_at_once() -> None:
    election = leading()
    assert election.leads(0.1)
    assert election.fence == {LEASE_KEY: 1}


def test_lease_that_is_renewed_is_not_claimed() -> None:
    election = fresh()
    for beat in range(20):
        assert election.show(shown(OTHER, beat), 0.9 * beat) == []
        assert election.tick(0.9 * beat + 0.89) == []
    assert election.state is ElectionState.FOLLOWING


def test_claim_expects_what_was_seen_and_its_refusal_waits_for_the_new_leader() -> None:
    election = fresh()
    election.show(shown(OTHER, 4), 10.0)
    assert election.tick(10.99) == []
    (claim,) = election.tick(11.0)
    assert isinstance(claim, Claim) and claim.seen.expected == {LEASE_KEY: 1, BEAT_KEY: 5}
    third = Lease("third", 8)
    election.show(shown(third, 5, OPENING, version=2), 11.1)
    assert election.answered(claim.number, ElectionInput.OVERTAKEN, 11.2) == []
    # The third one may be restoring thousands of VSIs.
    assert election.tick(11.2 + OPENING - 0.01) == []
    assert election.tick(11.2 + OPENING) != []


def test_leader_without_a_confirmed_renewal_stops_before_others_may_claim() -> None:
    election = leading()
    write = renewal(election, 0.3)
    assert write.expected == {LEASE_KEY: 1} and list(write.changes) == [BEAT_KEY]
    # From now on others wait no longer than for the patience, whether the answer comes or not.
    assert election.leads(0.99) and not election.leads(0.3 + PATIENCE)
    assert election.tick(0.3 + PATIENCE) == [StandAsideNow(EndReason.LAPSED)]
    assert election.answered(write.number, ElectionInput.DONE, 1.4) == []
    assert not election.leads(1.4)


def test_time_of_a_renewal_counts_from_when_it_was_sent() -> None:
    election = leading()
    write = renewal(election, 0.3)
    confirm(election, write, 0.8)
    assert election.until < 0.3 + PATIENCE


def test_confirmation_that_was_read_too_late_does_not_bring_the_lead_back() -> None:
    election = leading()
    write = renewal(election, 0.3)
    assert election.answered(write.number, ElectionInput.DONE, 5.0) == [StandAsideNow(EndReason.LAPSED)]
    assert election.state is ElectionState.FOLLOWING


def test_claim_that_was_confirmed_too_late_is_none() -> None:
    election = fresh()
    election.show(LeaseView(), 0.0)
    (claim,) = election.tick(0.0)
    assert isinstance(claim, Claim)
    election.claimed(claim.number, Lease("me", 1))
    assert election.answered(claim.number, ElectionInput.DONE, OPENING) == []
    assert election.state is ElectionState.FOLLOWING


def test_leader_whose_renewal_fails_tries_again_while_its_time_lasts() -> None:
    election = leading()
    first = renewal(election, 0.3)
    assert election.answered(first.number, ElectionInput.FAILED, 0.35) == []
    second = renewal(election, 0.5)
    assert second.number != first.number
    confirm(election, second, 0.55)
    assert election.leads(0.9)


@pytest.mark.parametrize("way", ["shown", "refused", "record"])
def test_leader_that_was_replaced_stops_at_once(way: str) -> None:
    election = leading()
    if way == "shown":
        outputs = election.show(shown(OTHER, 0, version=2), 0.2)
    elif way == "record":
        outputs = election.refused(0.2)
    else:
        outputs = election.answered(renewal(election, 0.3).number, ElectionInput.OVERTAKEN, 0.4)
    assert outputs == [StandAsideNow(EndReason.LOST)]
    assert not election.leads(0.4)


def test_older_news_than_what_was_confirmed_do_not_end_the_lead() -> None:
    election = fresh()
    election.show(shown(OTHER, 3, version=4), 0.0)
    (claim,) = election.tick(PATIENCE)
    assert isinstance(claim, Claim)
    election.claimed(claim.number, Lease("me", 8))
    election.answered(claim.number, ElectionInput.DONE, 1.1)
    assert election.show(shown(OTHER, 4, version=4), 1.2) == []
    assert election.leads(1.2)


def test_leader_that_restores_has_more_time_than_one_that_has_settled() -> None:
    election = leading(settled=False)
    confirm(election, renewal(election, 0.3), 0.4)
    assert election.leads(3.0)
    election.settled = True
    confirm(election, renewal(election, 3.0), 3.1)
    assert not election.leads(3.0 + PATIENCE)


def test_transfer_stops_first_and_names_the_successor() -> None:
    election = leading()
    aside, write = election.transfer("c2", 0.5)
    assert aside == StandAsideNow(EndReason.TRANSFERRED) and not election.leads(0.5)
    assert isinstance(write, Write) and write.expected == {LEASE_KEY: 1}
    value = write.changes[LEASE_KEY]
    assert value is not None
    released = read_view({LEASE_KEY: (value, 2)})
    assert released.lease == Lease("", 1, "", "c2")
    # The one that was named claims at once, others and the former leader wait.
    named, third = Election("c2", "", PATIENCE), Election("c3", "", PATIENCE)
    for member in (named, third, election):
        member.show(released, 0.6)
    assert isinstance(named.tick(0.6)[0], Claim)
    assert third.tick(0.7) == [] and election.tick(0.7) == []
    assert third.tick(0.6 + PATIENCE) != []


def test_transfer_to_anybody_is_claimed_at_once_by_all_but_the_former_leader() -> None:
    election = leading()
    _, write = election.transfer("", 0.5)
    assert isinstance(write, Write)
    value = write.changes[LEASE_KEY]
    assert value is not None
    released = read_view({LEASE_KEY: (value, 2)})
    other = Election("c2", "", PATIENCE)
    other.show(released, 0.6)
    election.show(released, 0.6)
    assert other.tick(0.6) != [] and election.tick(0.6) == []


def test_standby_is_not_moved_by_a_transfer() -> None:
    election = fresh()
    election.show(shown(OTHER), 0.0)
    assert election.transfer("c2", 0.1) == []


@pytest.mark.parametrize("octets", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x96\x02\xa1a\x01\xa0\xa0\x00"])
def test_lease_that_cannot_be_read_is_as_none(octets: bytes) -> None:
    view = read_view({LEASE_KEY: (octets, 3), BEAT_KEY: (octets, 5)})
    assert view.lease is None and view.beat is None
    assert view.expected == {LEASE_KEY: 3, BEAT_KEY: 5}


def test_records_come_back_as_they_were_written() -> None:
    lease, beat = Lease("c1", 2**63, "https://c1:8080", "c2", 1.5), Beat(4, 0.5)
    assert read_view({LEASE_KEY: (lease.encoded(), 1), BEAT_KEY: (beat.encoded(), 2)}) == LeaseView(lease, beat, (1, 2))


def test_claim_whose_lease_was_taken_before_its_confirmation_is_none() -> None:
    election = fresh()
    election.show(LeaseView(), 0.0)
    (claim,) = election.tick(0.0)
    assert isinstance(claim, Claim)
    election.claimed(claim.number, Lease("me", 1))
    election.show(shown(OTHER, 3, version=2), 0.1)
    assert election.answered(claim.number, ElectionInput.DONE, 0.2) == []
    assert not election.leads(0.2)


def following(version: int = 1) -> Election:
    election = fresh()
    election.show(shown(OTHER, 4, version=version), 10.0)
    return election


def test_lease_of_a_process_that_is_gone_is_claimed_at_once() -> None:
    election = following()
    (claim,) = election.gone(1, 10.1)
    assert isinstance(claim, Claim) and claim.seen.expected == {LEASE_KEY: 1, BEAT_KEY: 5}
    election.claimed(claim.number, Lease("me", 8))
    assert election.gone(1, 10.1) == [] and election.state is ElectionState.CLAIMING
    assert election.answered(claim.number, ElectionInput.DONE, 10.2) == [Lead(ClaimReason.GONE)]
    assert election.gone(1, 10.3) == [] and election.leads(10.3)


@pytest.mark.parametrize("version", [1, 3])
def test_report_about_another_lease_than_the_last_one_counts_for_nothing(version: int) -> None:
    assert following(version=2).gone(version, 10.1) == []


@pytest.mark.parametrize("lease", [None, Lease("", 7), Lease("", 7, "", "c2")])
def test_report_about_a_lease_that_no_member_has_counts_for_nothing(lease: Lease | None) -> None:
    election = fresh()
    election.show(shown(lease), 10.0)
    assert election.gone(1, 10.0) == []


def test_second_claimant_waits_for_the_first_one() -> None:
    election = following()
    (claim,) = election.gone(1, 10.1)
    assert isinstance(claim, Claim)
    first = Lease("c2", 8)
    election.show(shown(first, 0, OPENING, version=2), 10.15)
    assert election.answered(claim.number, ElectionInput.OVERTAKEN, 10.2) == []
    assert election.gone(1, 10.2) == [] and election.tick(10.2 + OPENING - 0.01) == []


@pytest.mark.parametrize("first", ["news", "refusal"])
def test_lease_that_was_given_up_before_the_process_ended_is_claimed_without_a_wait(first: str) -> None:
    election = following()
    (claim,) = election.gone(1, 10.1)
    assert isinstance(claim, Claim)
    released = shown(Lease("", 7), 4, version=2)
    if first == "news":
        election.show(released, 10.15)
    election.answered(claim.number, ElectionInput.OVERTAKEN, 10.2)
    if first == "refusal":
        election.show(released, 10.2)
    (second,) = election.tick(10.2)
    assert isinstance(second, Claim) and second.seen.versions[0] == 2


def test_claim_that_a_renewal_has_overtaken_waits() -> None:
    election = following()
    (claim,) = election.gone(1, 10.1)
    assert isinstance(claim, Claim)
    election.show(shown(OTHER, 5), 10.15)
    election.answered(claim.number, ElectionInput.OVERTAKEN, 10.2)
    assert election.tick(10.2 + PATIENCE - 0.01) == []
    (late,) = election.tick(10.2 + PATIENCE)
    assert isinstance(late, Claim)


def test_claim_that_was_overtaken_by_something_unseen_waits() -> None:
    election = fresh()
    election.show(LeaseView(), 10.0)
    (claim,) = election.tick(10.0)
    assert isinstance(claim, Claim)
    election.answered(claim.number, ElectionInput.OVERTAKEN, 10.1)
    assert election.tick(10.1) == []


def test_lease_decides_alone_while_leaders_are_replaced_too_often() -> None:
    election = fresh()
    for version in range(1, 8):
        election.show(shown(Lease(f"c{version % 2}", version), version=version), 10.0 + version)
    assert election.gone(7, 17.0) == []
    assert election.tick(17.0 + PATIENCE) != []
    # A minute later one more is permitted, however many there were.
    calm = fresh()
    for version in range(1, 30):
        calm.show(shown(Lease(f"c{version % 2}", version), version=version), 10.0 + version / 100)
    calm.show(shown(Lease("c1", 29), 5, version=29), 71.0)
    assert calm.gone(29, 71.0) != []


def test_leads_that_were_given_up_are_no_replacements() -> None:
    election = fresh()
    for version in range(1, 20):
        lease = Lease("", version) if version % 2 else Lease("other", version)
        election.show(shown(lease, version=version), 10.0)
    election.show(shown(OTHER, version=20), 10.0)
    assert election.gone(20, 10.0) != []
