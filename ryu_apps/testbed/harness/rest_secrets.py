"""Certificate and tokens of a bridge's REST, as an operator makes them."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

from ryu_apps.evb.config.bridge_config import RestAccess
from ryu_apps.testbed.harness.shell import run

_EVBRIDGE = str(Path(sys.executable).parent / "evbridge")


class RestSecrets:
    """Files in a folder.

    Attributes:
        certificate: which vouches for itself.
        rest: as the configuration of the bridge has it.
    """

    def __init__(self, folder: Path, bridge: str) -> None:
        self._folder = folder
        self.certificate, key = folder / f"rest-{bridge}.pem", folder / f"rest-{bridge}.key"
        self._tokens = folder / f"tokens-{bridge}"
        certify(self.certificate, key)
        self.rest = RestAccess(tokens=str(self._tokens), certificate=str(self.certificate), private_key=str(key))

    def token(self, name: str, role: str) -> str:
        """Make a token."""
        return run([_EVBRIDGE, "token", "create", name, "--role", role, "--file", str(self._tokens)]).strip()

    def token_file(self, name: str, role: str, file: str) -> Path:
        """Make a token, and a file of the folder that has it."""
        path = self._folder / file
        path.touch(0o600)
        path.write_text(self.token(name, role), encoding="ascii")
        return path

    @property
    def access(self) -> tuple[ssl.SSLContext, str]:
        """Trust and a new token, of the role ``admin``."""
        return ssl.create_default_context(cafile=str(self.certificate)), self.token("harness", "admin")


def certify(certificate: Path, key: Path) -> None:
    """Make a certificate of 127.0.0.1, and its key."""
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    subject = ["-subj", "/CN=evbridge", "-addext", "subjectAltName=IP:127.0.0.1"]
    run([*request, *subject, "-keyout", str(key), "-out", str(certificate)])
