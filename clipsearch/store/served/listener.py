"""The side that has collections open: lets other processes of this user use them. Knows no engine.

One thread accepts, and each connection has one of its own, so a client that hangs or dies holds up nobody.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeAlias

from clipsearch.errors import ClipSearchError, CollectionLocked, StoreError
from clipsearch.store.protocol import Store
from clipsearch.store.served import record as records
from clipsearch.store.served import wire
from clipsearch.store.served.codec import Block, Codec, Json, codec
from clipsearch.store.served.methods import error_out, method
from clipsearch.store.served.record import Record
from clipsearch.store.served.store import ServedStore
from clipsearch.store.served.wire import Channel

Handler: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
Answers: TypeAlias = Iterator[tuple[Codec, Any]]

MAX_CONNECTIONS = 256
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_log = logging.getLogger(__name__)


class Listener:
    """Serves open collections to other processes, from start() to stop(). Does not close them."""

    def __init__(
        self,
        stores: Mapping[str, Store] = _NOTHING,
        *,
        handlers: Mapping[str, Handler] = _NOTHING,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """stores: open embedded collections by name.

        handlers: what else may be asked for, see Connection.call; each is given the call's arguments and the
        collection's name as "collection". It is called from several threads at once.
        """
        self._stores: dict[str, Store] = {}
        self._folders: dict[str, Path] = {}  # of those that are recorded
        self._handlers = dict(handlers)
        self._free = threading.BoundedSemaphore(max_connections)
        self._key = secrets.token_bytes(32)
        self._open: dict[Channel, threading.Thread] = {}
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._address: wire.Address = ""
        self._stopping = False
        for name, store in stores.items():
            self.add(name, store)

    def start(self) -> None:
        """Listen, and record it beside the collections. OSError where no socket can be had."""
        self._socket, self._address = wire.listening()
        self._accepting = threading.Thread(
            target=self._accept, args=[self._socket], name="served-accept", daemon=True
        )
        self._accepting.start()
        for name in list(self._stores):
            self._record(name)

    def add(self, name: str, store: Store) -> None:
        """Serve one more collection. CollectionLocked if it is open by way of another process."""
        if isinstance(store, ServedStore):
            pid = store.connection.pid
            raise CollectionLocked(
                f"collection {name!r} is served by another process already (pid {pid}); use that one, or "
                f"stop it first (Ctrl-C, or kill {pid})",
                holder=f"pid {pid}",
            )
        self._stores[name] = store
        if self._socket is not None:
            self._record(name)

    def remove(self, name: str) -> None:
        """Serve a collection no longer. Requests that are being answered go on."""
        self._stores.pop(name, None)
        folder = self._folders.pop(name, None)
        if folder is not None:
            records.remove(folder, self._address)

    def stop(self, *, grace_s: float = 10.0) -> None:
        """Take no more requests, answer those that are here, and end, after grace_s in any case."""
        if self._socket is None or self._accepting is None:
            return
        self._stopping = True
        for name in list(self._folders):
            records.remove(self._folders.pop(name), self._address)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        self._socket = None
        wire.remove_address(self._address)
        for channel in self._channels():
            channel.stop_reading()
        deadline = time.monotonic() + grace_s
        self._accepting.join(timeout=1.0)
        for thread in self._threads():
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        for channel in self._channels():
            channel.cut()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- connections ---------------------------------------------------------------------------

    def _record(self, name: str) -> None:
        folder = Path(self._stores[name].info().location)
        if not folder.is_dir():
            return  # a Qdrant server's, which everybody can reach
        records.sweep(folder)
        records.write(folder, Record.of(folder, self._address, self._key, sorted(self._handlers)))
        self._folders[name] = folder

    def _accept(self, listening: socket.socket) -> None:
        while True:
            self._free.acquire()
            try:
                connection, _ = listening.accept()
            except OSError:
                self._free.release()
                if self._stopping:
                    return
                time.sleep(0.1)  # out of file handles: some client will go
                continue
            channel = Channel(connection)
            thread = threading.Thread(target=self._serve, args=[channel], name="served", daemon=True)
            with self._lock:
                self._open[channel] = thread
            if self._stopping:
                channel.stop_reading()
            thread.start()

    def _serve(self, channel: Channel) -> None:
        try:
            channel.challenge(self._key)
            self._converse(channel)
        except (OSError, EOFError, wire.Refused):
            pass  # gone, stalled or a stranger: nothing to do for it
        finally:
            with self._lock:
                self._open.pop(channel, None)
            channel.close()
            self._free.release()

    def _converse(self, channel: Channel) -> None:
        """Answer one request after the other, until the other side closes or says what is no message."""
        rest: Answers = iter(())  # to the last request, as they are fetched
        while not self._stopping:
            try:
                document, numbers = channel.receive()
            except (ValueError, StoreError) as exc:
                channel.send({"error": error_out(_malformed(exc))}, Block())
                return
            block = Block()
            try:
                if document != _NEXT:
                    rest = self._answers(document, numbers)
                way, value = next(rest, (_ANY, None))
                answer = {"result": way.encode(value, block)}
            except Exception as exc:
                if not isinstance(exc, ClipSearchError):
                    _log.exception("a request failed")
                rest, block, answer = iter(()), Block(), {"error": error_out(exc)}
            try:
                channel.send(answer, block)
            except StoreError as exc:  # too large, and nothing sent
                channel.send({"error": error_out(exc)}, Block())

    # --- requests ------------------------------------------------------------------------------

    def _answers(self, document: Json, numbers: memoryview) -> Answers:
        """The result and how it travels; of a method that streams, one after the other."""
        try:
            name, wanted, arguments = document["collection"], document["method"], document["arguments"]
            if wanted == "call":
                return iter([(_ANY, self._call(name, _ANY.decode(arguments, numbers)))])
            way = method(wanted)
            given = {n: way.parameters[n].decode(value, numbers) for n, value in arguments.items()}
        except (LookupError, TypeError, ValueError, AttributeError) as exc:
            raise _malformed(exc) from exc
        store = self._stores.get(name)
        if store is None:
            raise StoreError(f"collection {name!r} is not served here any more; open it again")
        found = getattr(store, wanted)
        value = found if way.is_property else found(**given)
        return ((way.result, v) for v in value) if way.streams else iter([(way.result, value)])

    def _call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        handler = self._handlers.get(arguments["handler"])
        if handler is None:
            there = ", ".join(sorted(self._handlers)) or "none"
            raise StoreError(f"the process has no handler {arguments['handler']!r}; it has: {there}")
        return dict(handler({**arguments["with"], "collection": name}))

    def _channels(self) -> list[Channel]:
        with self._lock:
            return list(self._open)

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._open.values())


def _malformed(cause: Exception) -> StoreError:
    if isinstance(cause, StoreError):
        return cause
    return StoreError(
        f"the process that serves the collection got a message it cannot read ({type(cause).__name__}: "
        f"{cause}); start it again, so that both sides are of one version: clipsearch serve"
    )


_ANY = codec(Any)
_NEXT = {"method": "next"}
