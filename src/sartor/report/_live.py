"""The page of a search that is running, on this machine only."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sartor.errors import SartorError
from sartor.report._page import page, payload
from sartor.runs import Run

#: What this machine calls itself.
_NAMES = ("127.0.0.1", "localhost")


def server(folder: Path, *, port: int = 0) -> ThreadingHTTPServer:
    """A server on the loopback address that draws the run anew at every request.

    It knows two paths, the page and its numbers, and reads nothing but the folder of the run.
    Port 0 takes any that is free.

    Raises `RunError` if the folder is not that of a run, or holds no episode yet.
    """
    Run(folder).require_episodes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Another host is a page elsewhere that had its name resolved to this machine.
            host = self.headers.get("Host", "").partition(":")[0]
            if host not in _NAMES:
                self.send_error(HTTPStatus.FORBIDDEN)
                return
            try:
                self._answer_path()
            except SartorError as error:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Requests are not printed."""

        def _answer_path(self) -> None:
            if self.path == "/":
                self._answer(page(Run(folder), live=True), "text/html")
            elif self.path == "/payload.json":
                self._answer(json.dumps(payload(Run(folder))), "application/json")
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def _answer(self, text: str, kind: str) -> None:
            content = text.encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return ThreadingHTTPServer((_NAMES[0], port), Handler)
