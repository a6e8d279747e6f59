"""Makes the calls of a hook: a command with JSON on its standard input, or a POST; each with a deadline."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from ryu_apps.http_client import Limits, RefusedError, Request, exchange, words
from ryu_apps.nms.schema import HookSection
from ryu_apps.nms_server.database import Call, Database

LOG = logging.getLogger(__name__)

#: Seconds between two looks for calls, and between two attempts: at first, and at most.
_NAP, _FIRST, _LONGEST = 0.1, 1.0, 300.0
#: Octets of an answer, and of the words of a command that fails.
_MAX_ANSWER, _MAX_WORDS = 65_536, 500


class CallError(Exception):
    """A call that has failed; the text says why."""


class HookRunner:
    """The calls of one hook, one at a time, in the order of the events of each bridge."""

    def __init__(
        self,
        name: str,
        hook: HookSection,
        database: Database,
        base: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            base: what files of the configuration are relative to; the working directory of commands.
            clock: Unix time in seconds.
        """
        self._name = name
        self._hook = hook
        self._database = database
        self._base = base
        self._clock = clock

    def run(self, stopped: threading.Event) -> None:
        """Make calls until ``stopped``."""
        while not stopped.is_set():
            try:
                call = self._database.next_call(self._name)
                if call is not None and call.due <= self._clock():
                    self.make(call)
                    continue
            except sqlite3.Error as error:
                LOG.error("hook %s: %s", self._name, error)
            stopped.wait(_NAP)

    def make(self, call: Call) -> None:
        """Make one call; one that fails is made again later, until it is given up."""
        try:
            self._tell(call.body)
        except CallError as error:
            if call.attempts + 1 >= self._hook.attempts:
                LOG.error("hook %s: given up: %s: %s", self._name, error, call.body)
                self._database.ended(call, str(error))
            else:
                LOG.warning("hook %s: %s", self._name, error)
                pause = min(_FIRST * 2**call.attempts, _LONGEST)
                self._database.postpone(call, self._clock() + pause, str(error))
        else:
            self._database.ended(call, None)

    def _tell(self, body: str) -> None:
        if self._hook.command is not None:
            self._run(self._hook.command, body.encode() + b"\n")
        else:
            self._post(self._hook.url or "", body.encode())

    def _run(self, command: list[str], body: bytes) -> None:
        try:
            # A process group of its own, so that nothing of it outlives its deadline.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=self._base,
                start_new_session=True,
            )
        except OSError as error:
            raise CallError(f"{command[0]}: {error.strerror}") from error
        try:
            _, said = process.communicate(body, self._hook.deadline)
        except subprocess.TimeoutExpired:
            _end(process)
            raise CallError(f"{command[0]}: not done within {self._hook.deadline:g} s") from None
        if process.returncode:
            told = said[-_MAX_WORDS:].decode("utf-8", "replace").strip()
            raise CallError(f"{command[0]}: status {process.returncode}{': ' if told else ''}{told}")

    def _post(self, url: str, body: bytes) -> None:
        server = Limits(self._hook.deadline, _MAX_ANSWER, self._hook.ca_file, self._hook.token_file)
        try:
            request = Request("POST", url, {"Content-Type": "application/json"}, body)
            answer = exchange(self._base, server, request, self._hook.deadline)
        except (RefusedError, HTTPException, OSError, ValueError) as problem:
            raise CallError(f"{url}: {words(problem)}") from problem
        if not 200 <= answer.status < 300:
            raise CallError(f"{url}: HTTP {answer.status} {answer.reason}")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # Not read to their ends: a process of another group may have them, too.
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()
