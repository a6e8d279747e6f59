"""A Ryu app with one websocket that answers in capitals, for ``ryu-manager`` to load."""

from __future__ import annotations

from typing import Any, ClassVar

from ryu.app.wsgi import ControllerBase, WSGIApplication, websocket
from ryu.base import app_manager


class Capitals(ControllerBase):
    @websocket("capitals", "/capitals")
    def answer(self, ws: Any) -> None:
        while (message := ws.wait()) is not None:
            ws.send(message.upper())


class WebsocketApp(app_manager.RyuApp):
    _CONTEXTS: ClassVar = {"wsgi": WSGIApplication}

    def __init__(self, *args: Any, wsgi: WSGIApplication, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wsgi.register(Capitals)
