"""Ryu app: the REST resources of evbridge on Ryu's own web server.

Serves the bridge of the same process; without one each answer has status 503.  Unless an address is configured
(``--wsapi-host``), the web server listens on the loopback address only; beyond it, it needs TLS and tokens
(``rest`` in evbridge.yaml).
"""

from __future__ import annotations

import time
from typing import Any

from eventlet import tpool
from ryu.app.wsgi import ControllerBase, Request, Response, WSGIApplication
from ryu.base import app_manager
from ryu.cfg import CONF
from ryu.lib import hub

from ryu_apps import compat  # noqa: F401 - first of ours: Ryu on a current eventlet
from ryu_apps.rest import server
from ryu_apps.rest.application import respond
from ryu_apps.rest.turns import RestTurns

#: A default, not a setting: the command line and configuration files still win.
CONF.set_default("wsapi_host", "127.0.0.1")


def _bridge() -> Any:
    return app_manager.lookup_service_brick("evb_bridge")


def _surroundings() -> server.Surroundings:
    bridge = _bridge()
    if bridge is None:
        return server.Surroundings()
    return server.Surroundings(bridge.rest, bridge.settings.path.parent, bridge.report)


server.install(_surroundings)

#: Roots of all resources of evbridge; ``rest.resources`` has the table of the paths below.
#: With line ends: a path may have any octet, and Ryu answers those that it knows of no app in HTML.
_ANY = r"{path:[\s\S]*}"
_PATHS = ("/evb", f"/evb/{_ANY}", "/metrics")

_TURNS = RestTurns()


class EvbController(ControllerBase):
    """Controller of Ryu that passes every request on, with any method."""

    def answer(self, req: Request, **_: str) -> Response:
        """Serve one request."""
        return respond(
            req,
            bridge=_bridge,
            clock=time.monotonic,
            pause=_TURNS.pause,
            limit=lambda seconds: hub.Timeout(seconds, False),
            elsewhere=tpool.execute,
        )


class EvbRest(app_manager.RyuApp):
    """The app that mounts the resources."""

    _CONTEXTS = {"wsgi": WSGIApplication}

    def __init__(self, *args: object, wsgi: WSGIApplication, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.name = "evb_rest"
        self._mapper = wsgi.mapper
        for path in _PATHS:
            wsgi.mapper.connect("evb", path, controller=EvbController, action="answer")

    def start(self) -> None:
        """Answer all other paths as well; Ryu calls this when every app has mounted its own."""
        self._mapper.connect("evb", f"/{_ANY}", controller=EvbController, action="answer")
        super().start()
