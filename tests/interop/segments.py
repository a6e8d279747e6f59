"""TCP segments over IPv4 as octets, as match fields, and as ``ofproto/trace`` wants them."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.flow.match import VLAN_PRESENT

FIN, SYN, RST, ACK = 0x001, 0x002, 0x004, 0x010
_ETH_DST, _ETH_SRC = 0x5254_0000_0002, 0x5254_0000_0001
_IPV4_SRC, _IPV4_DST = 0x0A00_0001, 0x0A00_0002


@dataclass(frozen=True, slots=True)
class Segment:
    """From 10.0.0.1 to 10.0.0.2, without payload; untagged if ``vid`` is None."""

    tcp_src: int
    tcp_dst: int = 80
    flags: int = SYN
    vid: int | None = None
    in_port: int = 1

    @property
    def octets(self) -> bytes:
        tag = b"" if self.vid is None else b"\x81\x00" + self.vid.to_bytes(2)
        ethernet = _ETH_DST.to_bytes(6) + _ETH_SRC.to_bytes(6) + tag + b"\x08\x00"
        ipv4 = bytes.fromhex("45000028000000004006") + bytes(2) + _IPV4_SRC.to_bytes(4) + _IPV4_DST.to_bytes(4)
        tcp = self.tcp_src.to_bytes(2) + self.tcp_dst.to_bytes(2) + bytes(8)
        tcp += (5 << 12 | self.flags).to_bytes(2) + bytes(6)
        return (ethernet + ipv4 + tcp).ljust(60, b"\0")

    @property
    def fields(self) -> dict[str, int]:
        return {
            "in_port": self.in_port,
            "eth_src": _ETH_SRC,
            "eth_dst": _ETH_DST,
            "eth_type": 0x0800,
            **({} if self.vid is None else {"vlan_vid": VLAN_PRESENT | self.vid, "vlan_pcp": 0}),
            "ip_proto": 6,
            "ip_dscp": 0,
            "ipv4_src": _IPV4_SRC,
            "ipv4_dst": _IPV4_DST,
            "tcp_src": self.tcp_src,
            "tcp_dst": self.tcp_dst,
            "tcp_flags": self.flags,
        }

    @property
    def text(self) -> str:
        tag = "" if self.vid is None else f",dl_vlan={self.vid}"
        return (
            f"in_port={self.in_port},tcp,dl_src=52:54:00:00:00:01,dl_dst=52:54:00:00:00:02{tag},nw_src=10.0.0.1,"
            f"nw_dst=10.0.0.2,tp_src={self.tcp_src},tp_dst={self.tcp_dst},tcp_flags={self.flags}"
        )
