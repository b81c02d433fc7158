"""Web server for one page on this machine, which the browser loads again every few seconds."""

from __future__ import annotations

import errno
import html
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ecg_study.errors import EcgStudyError, InputError

LOOPBACK = "127.0.0.1"

_SECONDS = 10
"""Time after which the browser loads the page again."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def open_server(page: Callable[[], str], *, port: int) -> ThreadingHTTPServer:
    """Return a server of a page, on the loopback interface only. Its method ``serve_forever`` answers requests.

    A request with another host name than that of this machine is refused, so that a page of a stranger cannot read it
    through a host name of its own.

    Args:
        page: returns the page as HTML.
        port: TCP port; 0 for a free one.

    Raises:
        InputError: the port is in use, or may not be used.
    """

    class Handler(BaseHTTPRequestHandler):
        """Answers ``GET /``."""

        server: ThreadingHTTPServer

        def do_GET(self) -> None:  # the name is given by http.server
            """Send the page."""
            allowed = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
            if self.headers.get("Host") not in allowed:
                self._send(403, "<p>Open this page by the address that the program has printed.</p>")
            elif self.path != "/":
                self._send(404, "<p>There is one page only: /</p>")
            else:
                try:
                    self._send(200, page())
                except EcgStudyError as error:
                    self._send(500, f"<p>{html.escape(str(error))}</p>")

        def _send(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            for name, value in (
                ("Content-Type", "text/html; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                ("Content-Security-Policy", _POLICY),
                ("Refresh", str(_SECONDS)),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except (OSError, OverflowError) as error:
        reason = "is in use" if getattr(error, "errno", None) == errno.EADDRINUSE else f"cannot be used ({error})"
        raise InputError(f"port: {port} {reason}; choose another, or 0 for a free one", parameters=("port",)) from error
