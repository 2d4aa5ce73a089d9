"""The way to the process that serves a collection. Knows no methods; see clipsearch.store.served.store.

What is sent may be sent again: a lost connection is made anew once, with the record as it is then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clipsearch.errors import ClipSearchError, StoreError, StoreUnavailable
from clipsearch.store.served import record as records
from clipsearch.store.served import wire
from clipsearch.store.served.codec import Block, Json, codec
from clipsearch.store.served.methods import error_in, protocol
from clipsearch.store.served.record import Record
from clipsearch.store.served.wire import Channel

_IDLE = 8  # channels kept for the next request


class Connection:
    """The process that serves one collection. Safe to share between threads, which get a channel each."""

    def __init__(self, folder: Path, record: Record, first: Channel) -> None:
        self.folder, self.name = folder, folder.name
        self._record = record
        self._idle, self._idle_in = [first], os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._record.pid

    @property
    def handlers(self) -> frozenset[str]:
        """What `call` may be called with."""
        return frozenset(self._record.handlers)

    def call(self, handler: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the process's handler of that name makes of the arguments.

        Both hold values of clipsearch.types, plain ones, bytes, arrays, and lists, tuples and dicts of
        them. Raises what the handler raises, if it is a ClipSearchError; StoreUnavailable; StoreError.
        """
        return dict(self.request("call", {"handler": handler, "with": arguments}, _ANY.encode, _ANY.decode))

    def request(
        self,
        method: str,
        arguments: Any,
        encode: Callable[[Any, Block], Json],
        decode: Callable[[Json, memoryview], Any],
    ) -> Any:
        """One answer to one request. Raises the errors of the other side, StoreUnavailable if it is gone."""
        block = Block()
        document = {"collection": self.name, "method": method, "arguments": encode(arguments, block)}
        answer, numbers, channel = self._exchange(document, block)
        self._give(channel)
        return decode(answer, numbers)

    def stream(
        self,
        method: str,
        arguments: Any,
        encode: Callable[[Any, Block], Json],
        decode: Callable[[Json, memoryview], Any],
    ) -> Iterator[Any]:
        """The answers to one request, each fetched when it is wanted."""
        block = Block()
        document = {"collection": self.name, "method": method, "arguments": encode(arguments, block)}
        answer, numbers, channel = self._exchange(document, block)
        whole = False
        try:
            while answer is not None:
                yield decode(answer, numbers)
                try:
                    answer, numbers = _ask(channel, {"method": "next"}, Block())
                except (OSError, EOFError) as exc:
                    raise self._gone() from exc
            whole = True
        finally:
            if whole:
                self._give(channel)
            else:
                channel.close()

    def close(self) -> None:
        """Close what is open; the other process goes on."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for channel in idle:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- channels ------------------------------------------------------------------------------

    def _exchange(self, document: Json, block: Block) -> tuple[Json, memoryview, Channel]:
        """The answer, and the channel it came by, which the caller gives back."""
        for again in (False, True):
            channel = self._fresh() if again else self._take()
            try:
                return (*_ask(channel, document, block), channel)
            except (OSError, EOFError) as exc:
                channel.close()
                if again:
                    raise self._gone() from exc
            except ClipSearchError:
                self._give(channel)
                raise
            except (
                BaseException
            ):  # an answer may still come, which the next request must not take for its own
                channel.close()
                raise
        raise AssertionError

    def _take(self) -> Channel:
        with self._lock:
            if self._closed:
                raise StoreError(f"collection {self.name!r} was closed; open it again")
            if self._idle_in != os.getpid():  # forked: the parent goes on with those
                self._idle, self._idle_in = [], os.getpid()
            if self._idle:
                return self._idle.pop()
        return self._fresh()

    def _give(self, channel: Channel) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _IDLE:
                self._idle.append(channel)
                return
        channel.close()

    def _fresh(self) -> Channel:
        try:
            found = _reach(self.folder)
        except OSError as exc:
            raise self._gone() from exc
        if found is None:
            raise self._gone()
        self._record, channel = found
        return channel

    def _gone(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the process that served collection {self.name!r} (pid {self.pid}) has ended or does not "
            "answer; nothing it acknowledged is lost. Run the same command again (without that process it "
            "opens the collection itself), or first start it again: clipsearch serve"
        )


def find(folder: Path) -> Connection | None:
    """The process that serves the collection in the folder; None if there is none.

    Raises StoreError if it is of another version, StoreUnavailable if it is there and does not answer.
    """
    try:
        found = _reach(folder)
    except TimeoutError as exc:
        recorded = records.read(folder)
        pid = recorded.pid if recorded else "unknown"
        raise StoreUnavailable(
            f"the process that serves collection {folder.name!r} (pid {pid}) does not answer within "
            f"{wire.HANDSHAKE_S:.0f} s; it may be stopped or have too many clients. Try again, or stop it "
            f"(kill {pid}) and run the same command again"
        ) from exc
    except OSError:
        return None
    return Connection(folder, *found) if found else None


def _reach(folder: Path) -> tuple[Record, Channel] | None:
    """The record and a channel to who left it; None if that one is gone. OSError if it does not answer."""
    record = records.read(folder)
    if record is None:
        return None
    try:
        channel = wire.connected(record.address, bytes.fromhex(record.key))
    except (ConnectionRefusedError, FileNotFoundError, wire.Refused):
        return None
    if record.protocol == protocol():
        return record, channel
    channel.close()
    raise StoreError(
        f"collection {folder.name!r} is served by pid {record.pid}, which another version of clipsearch "
        f"started at {record.started} (protocol {record.protocol}; here it is {protocol()}). Stop it "
        f"(Ctrl-C, or kill {record.pid}) and start it again with this version: clipsearch serve"
    )


def _ask(channel: Channel, document: Json, block: Block) -> tuple[Json, memoryview]:
    """The answer's result. OSError or EOFError where the channel ends; else what the other side raises."""
    channel.send(document, block)
    try:
        answer, numbers = channel.receive()
    except (ValueError, StoreError) as exc:
        raise ConnectionError(f"the answer cannot be read ({exc})") from exc
    if "error" in answer:
        raise error_in(answer["error"])
    return answer["result"], numbers


_ANY = codec(Any)
