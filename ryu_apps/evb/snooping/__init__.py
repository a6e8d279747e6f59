"""Multicast snooping (RFC 4541): group memberships of VSIs, and the queriers of VLANs.

``listener`` has the memberships of one VSI and checks doubtful ones, ``querier`` times general queries,
``messages`` converts between frames and both, ``subscriptions`` applies the bounds of a VSI type,
``memory`` stores memberships, ``settings`` and ``timers`` are their configuration.

Pure state machines with explicit time.  Imports ``wire`` and ``model``; rules are compiled in ``pipeline``.
"""
