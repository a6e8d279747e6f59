"""The REST resources: a request to a view, and what the view returns to a response.

``server`` accepts requests, ``guard`` refuses those without the token that they need (``tokens``), ``callers`` those
that a web page may have caused, ``application`` serves one.
``resources`` has the table of paths; the other modules have the views, by subject, and the texts of their answers.

A view reads frozen values of ``evb.bridge.queries`` and changes nothing.  A resource that changes something gives an
event to the bridge.  Imports no Ryu app, no southbound, no store; Ryu and eventlet only in ``server`` and ``turns``.
"""
