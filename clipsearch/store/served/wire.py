"""Messages over a local socket between processes that share a key. Knows no stores and no methods.

A message is two lengths, a JSON document and a block of numbers; nothing is ever unpickled. Both sides show
that they have the key (HMAC-SHA-256 over both sides' random bytes) before the first message.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import TypeAlias

from clipsearch.errors import StoreError
from clipsearch.store.served.codec import Block, Json, from_json, to_json

Address: TypeAlias = str | list[str | int]
"""A Unix socket's path; or loopback's [host, port], where there are no such sockets."""

MAX_MESSAGE = 128 << 20  # bytes; 64,000 vectors of 512 numbers
HANDSHAKE_S = 10.0
STALL_S = 60.0  # for the rest of a message that has begun, either way
FOLDER_PREFIX = "clipsearch-"

_LENGTHS = struct.Struct("<II")  # of the document and of the block, in bytes
_NONCE, _DIGEST = 32, 32
_JOINED = 64 << 10  # bytes; a smaller message is one write
_LONGEST_PATH = 100  # bytes; macOS takes 104
_BACKLOG = 128


class Refused(Exception):
    """Who answers at the address does not have the key."""


class Channel:
    """One connected socket. For one thread at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, document: Json, block: Block) -> None:
        """Send a message. StoreError, with nothing sent, for one that is too large; OSError if it stalls."""
        head = to_json(document)
        head += b" " * (-len(head) % 8)
        check_size(len(head) + block.n_bytes)
        parts = [_LENGTHS.pack(len(head), block.n_bytes), head, *block.parts]
        self._sock.settimeout(STALL_S)
        if len(head) + block.n_bytes <= _JOINED:
            parts = [b"".join(parts)]
        for part in parts:
            self._sock.sendall(part)

    def receive(self, *, wait_s: float | None = None) -> tuple[Json, memoryview]:
        """The next message, waited for without end or for wait_s; the rest of it must follow.

        EOFError where the other side has closed, OSError if it stalls, ValueError for what is no message,
        StoreError for one that is too large.
        """
        lengths = bytearray(_LENGTHS.size)
        self._sock.settimeout(wait_s)
        n = self._sock.recv_into(lengths)
        if n == 0:
            raise EOFError
        self._sock.settimeout(STALL_S)
        self._fill(memoryview(lengths)[n:])
        n_head, n_block = _LENGTHS.unpack(lengths)
        check_size(n_head + n_block)
        head, block = bytearray(n_head), bytearray(n_block)
        self._fill(memoryview(head))
        self._fill(memoryview(block))
        return from_json(head), memoryview(block)

    def challenge(self, key: bytes) -> None:
        """Let in who has the key. Refused, OSError or EOFError for everybody else."""
        self._sock.settimeout(HANDSHAKE_S)
        ours = secrets.token_bytes(_NONCE)
        self._sock.sendall(ours)
        answer = bytearray(_NONCE + _DIGEST)
        self._fill(memoryview(answer))
        theirs, proof = bytes(answer[:_NONCE]), bytes(answer[_NONCE:])
        if not hmac.compare_digest(proof, _proof(key, b"client", ours, theirs)):
            raise Refused
        self._sock.sendall(_proof(key, b"server", ours, theirs))

    def answer(self, key: bytes) -> None:
        """Show the key, and see that the other side has it. Refused if not; TimeoutError if nothing comes."""
        self._sock.settimeout(HANDSHAKE_S)
        ours, theirs, proof = secrets.token_bytes(_NONCE), bytearray(_NONCE), bytearray(_DIGEST)
        try:
            self._fill(memoryview(theirs))
            self._sock.sendall(ours + _proof(key, b"client", bytes(theirs), ours))
            self._fill(memoryview(proof))
        except (EOFError, ConnectionError) as exc:
            raise Refused from exc
        if not hmac.compare_digest(proof, _proof(key, b"server", bytes(theirs), ours)):
            raise Refused

    def stop_reading(self) -> None:
        """Let a receive that waits in another thread end; an answer may still be sent."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def cut(self) -> None:
        """Let everything that another thread does here end."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _fill(self, rest: memoryview) -> None:
        while len(rest):
            n = self._sock.recv_into(rest)
            if n == 0:
                raise EOFError
            rest = rest[n:]


def check_size(n_bytes: int) -> None:
    """Raise StoreError for a message that is over the limit."""
    if n_bytes > MAX_MESSAGE:
        raise StoreError(
            f"a message of {n_bytes >> 20} MB is over the limit of {MAX_MESSAGE >> 20} MB between the "
            "process that serves the collection and the others; ask for fewer points at a time"
        )


def listening() -> tuple[socket.socket, Address]:
    """A socket that listens where only this user can come, and its address."""
    if not hasattr(socket, "AF_UNIX"):
        sock = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        host, port = sock.getsockname()
        return sock, [host, port]
    path = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=_short_folder())) / "socket"  # of mode 0700
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        remove_address(str(path))
        raise
    return sock, str(path)


def connected(address: Address, key: bytes) -> Channel:
    """A channel to who listens there and has the key.

    Raises ConnectionRefusedError or FileNotFoundError where nobody listens (any more), Refused for another
    key, TimeoutError for one that listens and does not answer, or another OSError.
    """
    sock = _connected(address)
    channel = Channel(sock)
    try:
        channel.answer(key)
    except BaseException:
        channel.close()
        raise
    return channel


def remove_address(address: Address) -> None:
    """Remove a socket that nobody listens to and its folder, if they look like ours."""
    if isinstance(address, str) and Path(address).parent.name.startswith(FOLDER_PREFIX):
        with contextlib.suppress(OSError):
            Path(address).unlink(missing_ok=True)
            Path(address).parent.rmdir()


def _connected(address: Address) -> socket.socket:
    deadline = time.monotonic() + HANDSHAKE_S
    while True:
        unix = isinstance(address, str)
        sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.settimeout(HANDSHAKE_S)
            sock.connect(address if isinstance(address, str) else (str(address[0]), int(address[1])))
            if not unix:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except BlockingIOError:  # as many wait as may wait: Linux says so at once
            sock.close()
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(0.02)
        except BaseException:
            sock.close()
            raise


def _short_folder() -> str:
    """Where temporary folders' names are short enough for a socket."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        room = _LONGEST_PATH - len(os.fsencode(folder))
        if folder and room > 30 and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):  # noqa: PTH112
            return folder
    return "/tmp"


def _proof(key: bytes, side: bytes, server: bytes, client: bytes) -> bytes:
    return hmac.digest(key, side + server + client, "sha256")
