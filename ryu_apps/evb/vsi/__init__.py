"""VSIs: their attachments to ports, and the change of switches that each request needs.

``admission``, ``address_owners``, ``takeovers`` and ``departures`` decide about requests; ``lifecycle``
with ``installer``, ``gatekeeper``, ``in_flight`` and ``state_transfer`` stages bodies, moves gates and
carries learnt state; ``registry`` holds the attachments, ``reservation`` the rule budget.

The package may use ``pipeline``, ``services``, ``policy``, ``snooping`` and ``protocol``.  It emits effects
and log events, and leaves stations to ``ports`` and the order of requests to ``bridge``.
"""
