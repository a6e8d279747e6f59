"""VSIs: their attachments to ports, and the change of switches that each request needs.

``admission``, ``address_owners``, ``takeovers`` and ``departures`` decide about requests; ``lifecycle``
stages bodies (``installer``), opens gates (``activation``, ``gatekeeper``, ``flips``, ``open_gates``), carries learnt
state (``state_transfer``), undoes (``refusals``) and removes (``withdrawal``); ``step_answers`` goes on when
switches and the store have answered.  ``registry`` holds the attachments, ``reservation`` the rule budget.

The package may use ``pipeline``, ``services``, ``policy``, ``snooping`` and ``protocol``.  It emits effects
and log events, and leaves stations to ``ports`` and the order of requests to ``bridge``.
"""
