"""The running server: an application behind the gate, its signals, and how it starts and stops.

The only module that runs uvicorn. Prints nothing: it tells by the functions it is given.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from clipsearch.errors import ClipSearchError
from clipsearch.serve.connections import protocol
from clipsearch.serve.gate import Application, Gate
from clipsearch.serve.local import listener
from clipsearch.serve.metrics import Metrics
from clipsearch.serve.opened import OpenCollections
from clipsearch.serve.options import Access, Limits
from clipsearch.serve.workers import Workers
from clipsearch.settings import Settings

if TYPE_CHECKING:
    import uvicorn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
Tell = Callable[[str], None]


class Service:
    """Open collections and the application that answers for them; close it."""

    def __init__(
        self, settings: Settings, only: Sequence[str] = (), *, access: Access, limits: Limits | None = None
    ) -> None:
        """Opens nothing yet. only: the collections to serve; none: all, also later ones."""
        self._only = tuple(only)
        from clipsearch.serve.app import ROUTES, build

        self.limits = limits or Limits()
        self.collections = OpenCollections(
            settings, only, max_pixels=self.limits.pixels, on_batch=self._on_batch
        )
        self.workers = Workers(self.limits.threads)
        self.metrics = Metrics(
            in_flight=lambda: self._gate.in_flight,
            queued=lambda: self.workers.queued,
            points=self.collections.n_points,
        )
        self._local = listener(self.collections) if settings.url is None else None
        self._ready = threading.Event()
        app: Any = build(
            self.collections,
            workers=self.workers,
            metrics=self.metrics,
            is_ready=self._ready.is_set,
            needs_key=access.key is not None,
        )
        self._gate = Gate(
            app, access=access, limits=self.limits, on_request=self.metrics.request, routes=ROUTES
        )
        self.application = _with_origins(self._gate, access.origins)

    def open(self, *, tell: Tell) -> None:
        """Let other programs of this user in, and open the collections.

        Of those that were not asked for by name, one that cannot be opened is told of, and tried again when
        a request asks for it.
        """
        if self._local is not None:
            try:
                self._local.start()
            except OSError as exc:
                tell(f"`clipsearch search` and `index` cannot use these collections meanwhile: {exc}")
        for name in self._only or self.collections.names():
            try:
                self.collections.searcher(name)
            except ClipSearchError as exc:
                if self._only:
                    raise
                tell(f"not served yet: {exc}")

    def warm(self, *, tell: Tell) -> None:
        """Load text towers and calibrations, so that no query waits for them; then the server is ready."""
        for searcher in self.collections.open_now().values():
            try:
                searcher.encoder.encode_texts(["warm"])
                _ = searcher.calibration
            except ClipSearchError as exc:
                tell(f"collection {searcher.store.name!r} cannot be searched: {exc}")
        self._ready.set()

    def close(self) -> None:
        """Let running work end, then flush and close the collections."""
        self._ready.clear()
        if self._local is not None:
            self._local.stop(grace_s=self.limits.stop_timeout_s)
        self.collections.taggers.close()
        self.workers.close()
        self.collections.close()

    def _on_batch(self, kind: str, n: int) -> None:
        self.metrics.batch(kind, n)


def run(service: Service, listening: socket.socket, *, on_listening: Callable[[], None], tell: Tell) -> None:
    """Serve until SIGTERM or SIGINT; then no new requests, those in flight end, collections are closed.

    A second signal ends the process at once. Call it in the main thread.
    """
    server = make_server(service, on_listening)
    with _signals(server, tell):
        try:
            warming = threading.Thread(target=service.warm, kwargs={"tell": tell}, name="warm", daemon=True)
            warming.start()
            server.run(sockets=[listening])
            warming.join()
        finally:
            service.close()


def make_server(service: Service, on_listening: Callable[[], None]) -> uvicorn.Server:
    """uvicorn with the service's bounds; its run(sockets=[…]) serves until should_exit is set."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_listening()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # ours are in place for longer than uvicorn runs

    limits = service.limits
    config = uvicorn.Config(
        service.application,
        http=protocol(limits),
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="error",
        access_log=False,  # queries are nobody's business
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=32 * 1024,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=limits.stop_timeout_s,
    )
    return Server(config)


@contextlib.contextmanager
def _signals(server: uvicorn.Server, tell: Tell) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        if server.should_exit:
            tell("stopped at once; what was acknowledged is on disk")
            os._exit(128 + number)
        server.should_exit = True
        tell("stopping: finishing what is in flight; the same again stops at once")

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _with_origins(inner: Application, origins: tuple[str, ...]) -> Any:
    if not origins:
        return inner
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        inner,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "X-API-Key", "Content-Type"],
        expose_headers=["Retry-After"],
    )
