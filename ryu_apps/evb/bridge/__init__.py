"""The bridge as a whole: each event goes to the room that it belongs to, and its effects come back in order.

``engine`` is the front: ``components`` and ``handlers`` build what it consists of, ``event_table`` hands each event
on, ``restart`` restores it from records.  ``port_events``, ``switch_events``, ``store_events``,
``balancer_events``, ``links``, ``comparisons`` and ``timers`` take one kind of event each.  ``requests`` takes what
stations request, with ``decisions``, ``answers`` and ``machines``.  ``queries`` and the modules ``*_queries`` answer
questions of REST and metrics with frozen values; ``followed`` answers those on VSIs at a standby.

The package may use every room of ``evb``, and no room but ``rest``, ``metrics`` and the Ryu app may use it.
It is pure: time is an argument, and what goes out is an effect.
"""
