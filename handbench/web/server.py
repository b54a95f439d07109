"""waitress, set up for strangers: bodies in memory, slow clients put off, errors as problems.

waitress reads requests in one thread without waiting and hands whole ones to its own threads, so
that a slow client holds a connection, but no thread.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import Error, RequestEntityTooLarge

from handbench.errors import HandbenchError
from handbench.files import to_json
from handbench.web.app import Service, new_request_id
from handbench.web.guards import too_large
from handbench.web.limits import Limits
from handbench.web.problems import CODES, MEDIA_TYPE, Problem

log = logging.getLogger("handbench.web")

_SPARE_THREADS = 6
"""For pages, health and metrics while all pictures wait for a worker."""
_MOST_THROWN_AWAY = 64_000_000
"""Bytes of a body that is too large which are read and dropped, so that the answer is seen."""
_CODES_OF = {400: "bad_request", 413: "too_large", 431: "headers_too_large", 501: "not_implemented"}


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Reads a body that is too large to its end without keeping it.

    A browser shows an answer only after it has sent everything; a connection that is closed before
    looks like a broken network.
    """

    _left = 0

    def received(self, data: bytes) -> int:
        if self._left:
            used = min(len(data), self._left)
            self._left -= used
            self.completed = self._left == 0
            return used
        used = int(super().received(data))
        if self.completed and isinstance(self.error, RequestEntityTooLarge):
            if self.expect_continue:
                self.expect_continue: bool = False  # the client asked before sending: say no
            elif 0 < self.content_length <= _MOST_THROWN_AWAY and not self.body_bytes_received:
                self._left, self.completed = self.content_length, False
        return used


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """Says what is wrong with a request that never reached the application."""

    def execute(self) -> None:
        error: Error = self.request.error
        limits = _service(self.channel.server).limits
        code = _CODES_OF.get(error.code, "internal")
        if code == "too_large":
            problem = too_large(self.request.content_length or None, limits)
        elif code == "internal":
            problem = Problem("internal", "The server did not expect this; its log says more.")
        else:
            problem = Problem(code, "Expected an HTTP request that can be read, found another.")
        request_id = new_request_id()
        log.info("%s - - %d - %s", request_id, CODES[code], code)
        _service(self.channel.server).metrics.count_problem(code)
        body = to_json(problem.document(request_id))
        self.status = f"{problem.status} {error.reason}"
        self.response_headers.extend(
            [
                ("Content-Type", MEDIA_TYPE),
                ("X-Request-ID", request_id),
                ("X-Content-Type-Options", "nosniff"),
                ("Cache-Control", "no-store"),
            ]
        )
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when its present request has been coming in."""

    parser_class = _Parser
    error_task_class = _ErrorTask
    began: float | None = None

    def received(self, data: bytes) -> bool:
        if self.began is None:
            self.began = time.time()
        try:
            return bool(super().received(data))
        finally:
            if self.request is None:
                self.began = None


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    """Ends connections on which one request takes too long to come in."""

    channel_class = _Channel

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        latest = now - _service(self).limits.upload_s
        for channel in self.active_channels.values():
            if channel.request is not None and (channel.began or now) < latest:
                channel.will_close = True


class Server:
    """A server that listens.

    Parameters
    ----------
    app
        What :func:`handbench.web.app.create_app` made.
    host, port
        Where to listen; port 0 takes any that is free.
    trusted_proxy
        Address of a proxy whose ``X-Forwarded-…`` headers are believed; "" for none.

    Raises
    ------
    HandbenchError
        If nothing can listen there.
    """

    def __init__(
        self, app: Flask, host: str = "127.0.0.1", port: int = 8000, trusted_proxy: str = ""
    ) -> None:
        self._service: Service = app.extensions["handbench"]
        logging.getLogger("waitress").setLevel(logging.ERROR)  # a queue of threads is no news
        bound = _bound(host, port)
        adjusted = Adjustments(sockets=[bound], **_options(self._service.limits, trusted_proxy))
        sockinfo = (bound.family, bound.type, bound.proto, bound.getsockname())
        self._listener = _Listener(
            app, _sock=bound, adj=adjusted, sockinfo=sockinfo, bind_socket=False
        )
        self._listener.handbench = self._service
        self._wake = self._listener.trigger

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        host = str(self._listener.effective_host)
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104 - compared only
        shown = shown or (f"[{host}]" if ":" in host else host)
        return f"http://{shown}:{self._listener.effective_port}/"

    def run(self) -> None:
        """Serve until :meth:`stop`, Ctrl+C or ``SystemExit`` in this thread."""
        self._listener.run()
        self._listener.task_dispatcher.shutdown()
        self._service.pool.close()

    def stop(self) -> None:
        """End :meth:`run`; from any thread."""
        sockets = self._listener._map
        self._wake.pull_trigger(lambda: wasyncore.close_all(sockets, ignore_all=True))


def _options(limits: Limits, trusted_proxy: str) -> dict[str, Any]:
    in_memory = 4 * limits.max_body + 64_000_000  # waitress would use a temporary file beyond
    options: dict[str, Any] = {
        "threads": limits.workers + limits.queue + _SPARE_THREADS,
        "connection_limit": limits.connections,
        "channel_timeout": int(limits.upload_s),
        "cleanup_interval": max(1, int(limits.upload_s / 10)),
        # waitress refuses what is as long as this.
        "max_request_body_size": limits.max_body + 1,
        "max_request_header_size": 16_384,
        "inbuf_overflow": in_memory,
        "outbuf_overflow": in_memory,
        "expose_tracebacks": False,
        "log_socket_errors": False,
        "asyncore_use_poll": True,
        "ident": "handbench",
    }
    if trusted_proxy:
        options |= {
            "trusted_proxy": trusted_proxy,
            "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
        }
    # Headers of anybody else are dropped either way: the rate limit counts real addresses.
    return {**options, "clear_untrusted_proxy_headers": True}


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the first address that `host` means."""
    bound = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        bound = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError as error:
        if bound is not None:
            bound.close()
        raise HandbenchError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another "
            "--host or --port"
        ) from error
    return bound


def _service(listener: Any) -> Service:
    service: Service = listener.handbench
    return service
