"""TCP or TLS server for switches, in place of Ryu's.

Ryu's own server shares its port with any other process (SO_REUSEPORT), ends with the first error of ``accept``, takes
any number of connections, and drops its TLS certificate after the first of them.
"""

from __future__ import annotations

import logging
from typing import Any

import ryu.base.app_manager  # noqa: F401 - before ryu.controller, which needs it and which it needs
from eventlet.green import ssl
from ryu.controller import controller, ofp_handler
from ryu.lib import hub

from ryu_apps.listening.listener import AcceptedConnection, TcpListener
from ryu_apps.listening.sockets import CannotListen
from ryu_apps.listening.tls import encrypt, server_context
from ryu_apps.southbound.reception import HANDSHAKE, ConnectionCheck

LOG = logging.getLogger(__name__)
CONF = controller.CONF

#: Unless configured otherwise: the port that IANA has assigned, on the loopback.
_HOST, _PORT = "127.0.0.1", 6653


def install(reception: ConnectionCheck) -> None:
    """Have Ryu's OpenFlow handler listen with :class:`OpenFlowServer`, on the loopback unless configured otherwise."""
    CONF.set_default("ofp_listen_host", _HOST)
    CONF.set_default("ofp_tcp_listen_port", _PORT)
    CONF.set_default("ofp_ssl_listen_port", _PORT)
    reception.install()

    def made() -> OpenFlowServer:
        try:
            return OpenFlowServer(reception)
        except CannotListen as error:
            raise SystemExit(f"evbridge cannot start: {error}") from None

    ofp_handler.OpenFlowController = made


class OpenFlowServer(controller.OpenFlowController):
    """A server that listens from its construction on, when an error still ends the program with one line.

    Raises:
        CannotListen: the address cannot be had, or the certificates cannot be used.
    """

    def __init__(self, reception: ConnectionCheck) -> None:
        super().__init__()
        self._reception = reception
        self._tls = _tls()
        port = self.ofp_ssl_listen_port if self._tls else self.ofp_tcp_listen_port
        self.listener = TcpListener("openflow", "OpenFlow", CONF.ofp_listen_host, port)
        LOG.info("OpenFlow over %s on %s", "TLS" if self._tls else "TCP", self.listener.place)
        self._warn()

    def _warn(self) -> None:
        if self.listener.is_local:
            return
        if self._tls is None:
            LOG.warning(
                "clients that reach %s can pose as a switch that is not connected: use TLS", self.listener.place
            )
        elif self._tls.verify_mode != ssl.CERT_REQUIRED:
            LOG.warning("without --ca-certs a switch is accepted with any certificate or none")

    def server_loop(self, *_ports: int) -> None:
        """Accept for ever; Ryu calls this, with ports that are known already."""
        while True:
            connection = self.listener.accept()
            hub.spawn(self._serve, connection)

    def _serve(self, connection: AcceptedConnection) -> None:
        inside = self.listener.inside
        try:
            if self._tls is None or self._encrypt(self._tls, connection):
                # A switch is not one of many: its descriptor is kept for it.
                self._reception.serve(connection.socket, connection.address, lambda: inside.leave(connection))
        finally:
            inside.leave(connection)
            connection.socket.close()

    def _encrypt(self, context: Any, connection: AcceptedConnection) -> bool:
        try:
            encrypt(context, connection, HANDSHAKE)
        except OSError as error:
            self._reception.distrust(connection.origin, str(error))
            return False
        return True


def _tls() -> Any:
    """The context for all connections, None: TLS is not configured."""
    key, certificate, authorities = CONF.ctl_privkey, CONF.ctl_cert, CONF.ca_certs
    if not (key or certificate or authorities):
        return None
    if not (key and certificate):
        raise CannotListen("OpenFlow: TLS needs --ctl-privkey and --ctl-cert")
    return server_context("OpenFlow", certificate, key, authorities)
