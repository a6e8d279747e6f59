"""Protocol machines of one bridge port: EVB agreement (LLDP), ECP, and VDP for each VSI.

A machine is a transition table (``table``) with ``outputs = machine.feed(event, now)`` and a ``deadline``;
the manual's tables are rendered from it.  ``timers`` has the agreed timers, ``outbox`` packs VDP answers,
``station_address`` selects the source address that is accepted.

Pure.  Imports ``wire`` and the fabric's timers; decisions about VSIs are made by the owner of a machine.
"""
