"""A file server on 127.0.0.1 that can misbehave as servers of large files do."""

from __future__ import annotations

import mimetypes
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class Manner:
    """How one request is answered; without one a server behaves."""

    status: int = 0
    """Answer with this and no file."""
    break_after: int | None = None
    """Close the connection after so many bytes of the body."""
    ignores_range: bool = False
    starts_late: int = 0
    """Answer a range with one that begins so many bytes later."""
    tells_length: bool = True
    kind: str | None = None
    """Media type; by default what the file's name says, or a ZIP archive's."""
    piece_bytes: int = 1 << 16
    pause_s: float = 0.0
    """Between pieces."""


@dataclass
class FileServer:
    """Serves `files` (path → bytes); `manners` are used up, one a request."""

    files: dict[str, bytes]
    manners: list[Manner] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header) of every request so far."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.ours = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, name: str) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # the connection closes after each answer

    def do_GET(self) -> None:
        server: FileServer = self.server.ours  # type: ignore[attr-defined]
        asked = self.headers.get("Range")
        name = self.path.lstrip("/")
        server.asked.append((name, asked))
        manner = server.manners.pop(0) if server.manners else Manner()
        if manner.status or name not in server.files:
            self.send_error(manner.status or 404)
            return
        body = server.files[name]
        start = 0
        if asked and not manner.ignores_range:
            found = re.fullmatch(r"bytes=(\d+)-", asked)
            assert found, asked
            start = int(found[1]) + manner.starts_late
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        kind = manner.kind or mimetypes.guess_type(name)[0] or "application/zip"
        self.send_header("Content-Type", kind)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if manner.tells_length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = len(body) if manner.break_after is None else start + manner.break_after
        try:
            for place in range(start, end, manner.piece_bytes):
                self.wfile.write(body[place : min(place + manner.piece_bytes, end)])
                self.wfile.flush()
                time.sleep(manner.pause_s)
        except OSError:
            pass  # the client has seen enough

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""
