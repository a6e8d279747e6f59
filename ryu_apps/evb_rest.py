"""Ryu app: the REST resources of evbridge on Ryu's own web server.

Serves the bridge that runs beside it, and says so when there is none.  Unless an address is asked for
(``--wsapi-host``), the web server listens on the loopback address only: every client that reaches it may
take VSIs off the network.
"""

from __future__ import annotations

import time

from ryu.app.wsgi import ControllerBase, Request, Response, WSGIApplication
from ryu.base import app_manager
from ryu.cfg import CONF
from ryu.lib import hub

from ryu_apps import compat  # noqa: F401 - first of ours: Ryu on a current eventlet
from ryu_apps.rest import server
from ryu_apps.rest.application import respond
from ryu_apps.rest.callers import is_loopback
from ryu_apps.rest.turns import RestTurns

#: A default, not a setting: the command line and configuration files still win.
CONF.set_default("wsapi_host", "127.0.0.1")
server.install()

#: All that is ours; what exists below is for ``rest.resources`` to say.
_PATHS = ("/evb", "/evb/{path:.*}", "/metrics")


_TURNS = RestTurns()


class EvbController(ControllerBase):
    """Hands every request on, whatever its method."""

    def answer(self, req: Request, **_: str) -> Response:
        """Serve one request."""
        return respond(
            req,
            bridge=lambda: app_manager.lookup_service_brick("evb_bridge"),
            clock=time.monotonic,
            pause=_TURNS.pause,
            limit=lambda seconds: hub.Timeout(seconds, False),
        )


class EvbRest(app_manager.RyuApp):
    """Mounts the resources."""

    _CONTEXTS = {"wsgi": WSGIApplication}

    def __init__(self, *args: object, wsgi: WSGIApplication, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.name = "evb_rest"
        self._mapper = wsgi.mapper
        for path in _PATHS:
            wsgi.mapper.connect("evb", path, controller=EvbController, action="answer")
        if not is_loopback(CONF.wsapi_host):
            self.logger.warning(
                "REST on %s:%s: every client that reaches it may take VSIs off the network",
                CONF.wsapi_host,
                CONF.wsapi_port,
            )

    def start(self) -> None:
        """Ryu calls this when every app has mounted what it serves; what is left is answered as what is ours."""
        self._mapper.connect("evb", "/{path:.*}", controller=EvbController, action="answer")
        super().start()
