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
    return _RunServer(folder, port)


class _RunServer(ThreadingHTTPServer):
    """Serves the folder of one run."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__((_NAMES[0], port), _Handler)
        self.folder = folder


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _RunServer

    def do_GET(self) -> None:
        # Another host is a page elsewhere that had its name resolved to this machine.
        address = self.headers.get("Host", "")
        host, _, _ = address.partition(":")
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
        run = Run(self.server.folder)
        if self.path == "/":
            text = page(run, live=True)
            self._answer(text, "text/html")
        elif self.path == "/payload.json":
            text = json.dumps(payload(run))
            self._answer(text, "application/json")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _answer(self, text: str, kind: str) -> None:
        content = text.encode()
        length = str(len(content))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)
