"""A web server on this machine whose answers a test decides. For tests of what is fetched."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers a GET with what the server's `pages` has for its path."""

    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        with site.lock:
            site.asked[self.path] += 1
            site.headers.append(dict(self.headers))
            site.under_way += 1
            site.most = max(site.most, site.under_way)
        try:
            page = site.pages.get(self.path.partition("?")[0])
            if page is None:
                self.answer(404)
            elif isinstance(page, bytes):
                self.answer(200, page)
            else:
                page(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with site.lock:
                site.under_way -= 1

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


class Site:
    """What a server has, and what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Callable[[Handler], None]] = {}
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.under_way = self.most = 0
        self.url = ""


@contextmanager
def serving() -> Iterator[Site]:
    """A site under site.url, such as http://127.0.0.1:41234."""
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.site = site  # type: ignore[attr-defined]
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
