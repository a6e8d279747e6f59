"""IGMP and MLD: what is encoded decodes to the same value, and nothing but a wire error is raised."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType, code_of, number_of
from ryu_apps.evb.wire.igmp import Igmp, IgmpType, Query3, Report3, decode_igmp
from ryu_apps.evb.wire.ip import Ipv4, Ipv6, checksum
from ryu_apps.evb.wire.membership import MembershipFrame
from ryu_apps.evb.wire.mld import Mld, MldType, Query2, Report2, decode_mld

Addresses = st.SearchStrategy[IPv4Address] | st.SearchStrategy[IPv6Address]


def bits(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << count) - 1)


four, six = st.ip_addresses(v=4), st.ip_addresses(v=6)
words = st.integers(0, 3).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))
trailers = st.binary(max_size=6)
types = st.one_of(st.sampled_from(RecordType), st.integers(7, 255))


def some(addresses: Addresses) -> st.SearchStrategy[tuple[IPv4Address | IPv6Address, ...]]:
    return st.lists(addresses, max_size=4).map(tuple)


def reports(addresses: Addresses) -> st.SearchStrategy[tuple[GroupRecord[IPv4Address], ...]]:
    record = st.builds(GroupRecord, types, addresses, some(addresses), words)
    return st.lists(record, max_size=4).map(tuple)


#: An eight-octet query has no room for more: longer ones are of version 3.
igmp_plain = st.one_of(
    st.builds(igmp.IgmpV1V2, st.just(IgmpType.QUERY), four, bits(8)),
    st.builds(
        igmp.IgmpV1V2,
        st.sampled_from([type_ for type_ in IgmpType if type_ in (0x12, 0x16, 0x17)]),
        four,
        bits(8),
        trailers,
    ),
)
igmp_queries = st.builds(Query3, four, some(four), bits(8), st.booleans(), bits(3), bits(8), bits(4), trailers)
igmp_reports = st.builds(Report3, reports(four), st.tuples(bits(8), bits(16)), trailers)
igmps = st.one_of(igmp_plain, igmp_queries, igmp_reports)

mld_plain = st.one_of(
    st.builds(mld.MldV1, st.just(MldType.QUERY), six, bits(16), bits(8), bits(16)),
    st.builds(
        mld.MldV1, st.sampled_from([MldType.V1_REPORT, MldType.DONE]), six, bits(16), bits(8), bits(16), trailers
    ),
)
mld_queries = st.builds(
    Query2, six, some(six), bits(16), st.booleans(), bits(3), bits(8), bits(8), st.tuples(bits(16), bits(4)), trailers
)
mld_reports = st.builds(Report2, reports(six), st.tuples(bits(8), bits(16)), trailers)
mlds = st.one_of(mld_plain, mld_queries, mld_reports)

link_local = bits(64).map(lambda low: IPv6Address(0xFE80 << 112 | low))
frames = st.one_of(
    st.builds(MembershipFrame, bits(48), bits(48), st.one_of(st.none(), bits(16)), four, four, igmps),
    st.builds(MembershipFrame, bits(48), bits(48), st.one_of(st.none(), bits(16)), link_local, six, mlds),
)


@given(igmps)
def test_igmp(message: Igmp) -> None:
    octets = message.encode()
    assert checksum(octets) == 0
    assert decode_igmp(octets) == message


@given(mlds, six, six)
def test_mld(message: Mld, source: IPv6Address, destination: IPv6Address) -> None:
    octets = message.encode(source, destination)
    assert decode_mld(octets, source, destination) == message


@given(frames)
def test_whole_frames(frame: MembershipFrame) -> None:
    assert MembershipFrame.decode(frame.encode()) == frame


@given(st.one_of(frames.map(lambda frame: frame.encode()), st.binary(max_size=80)), st.data())
def test_damaged_frames_are_wire_errors_or_canonical(octets: bytes, data: st.DataObject) -> None:
    damaged = bytearray(octets)
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            place = data.draw(st.integers(0, len(damaged) - 1))
            damaged[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        frame = MembershipFrame.decode(bytes(damaged[:cut]))
    except WireError:
        return
    assert MembershipFrame.decode(frame.encode()) == frame


@given(st.builds(Ipv4, four, four, bits(8), st.binary(max_size=40), words, bits(8), bits(8), bits(16)))
def test_ipv4(packet: Ipv4) -> None:
    assert Ipv4.decode(packet.encode() + b"padding") == packet


options = st.integers(0, 2).flatmap(lambda units: st.binary(min_size=8 * units + 6, max_size=8 * units + 6))


@given(
    st.builds(
        Ipv6, six, six, st.integers(1, 255), st.binary(max_size=40), st.one_of(st.just(b""), options), bits(8), bits(28)
    )
)
def test_ipv6(packet: Ipv6) -> None:
    assert Ipv6.decode(packet.encode() + b"padding") == packet


@given(st.sampled_from([8, 16]).flatmap(lambda size: st.tuples(st.just(size), bits(size))))
def test_codes_of_numbers(drawn: tuple[int, int]) -> None:
    size, code = drawn
    assert code_of(number_of(code, size), size) == code


@given(st.sampled_from([8, 16]), st.integers(0, 200_000))
def test_a_number_is_never_rounded_up(size: int, number: int) -> None:
    assert number_of(code_of(number, size), size) <= number or number > number_of((1 << size) - 1, size)
