"""The engine: events in, effects out; requests of stations to decisions, and the queries of REST and metrics.

``engine`` dispatches each event to its owner.  ``requests`` leads a request through its VDP machine (``machines``), its
decision (``decisions``) and its answer (``answers``).  ``snooper`` and ``query_sender`` do IGMP and MLD,
``icmp_translator`` the errors of balanced connections, ``restore`` the state of an earlier process, ``migrations`` the
steps of a move.  ``queries`` answers with frozen values.

The top of the core: may use all its rooms, and is used by the Ryu apps and REST only.
"""
