"""Octets on the wire: Ethernet, LLDP with the EVB TLV, ECP, VDP, IGMP, MLD, ICMP errors.

A class a protocol data unit or TLV: ``decode`` checks every bound and raises
:class:`ryu_apps.evb.wire.errors.WireError`; ``encode`` gives the same octets back.  Addresses are
integers, identifiers have one canonical text form.

Pure functions and values.  The package imports nothing of evbridge: no timer, no state, no policy.
"""
