"""Adaptation of Ryu 4.34 to a current eventlet; imported before Ryu and before any other module of evbridge.

``ryu.app.wsgi`` takes ``ALREADY_HANDLED`` from ``eventlet.wsgi``, which has not had it since 0.30.3.
``evbridge_hook`` imports this module in time for ``ryu-manager``; an app that is loaded, or a test
that runs, where evbridge is not installed imports it itself.
"""

from __future__ import annotations

import eventlet.wsgi

# Ryu returns this as the body of a response that a websocket has already sent.  eventlet now logs
# those by WSGI_LOCAL.already_handled, which its websocket sets, but still takes the length of the
# body and iterates over it: an empty one is right.
if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = ()
