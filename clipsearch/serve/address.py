"""The address the server listens on: bound before anything is announced. Knows no HTTP."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from clipsearch.errors import SettingsError

_BACKLOG = 512


def is_loopback(host: str) -> bool:
    """Whether the host is this machine only: no address is on a network. SettingsError: no host."""
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in _resolved(host, 0))


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. SettingsError says why an address cannot be had."""
    family, kind, protocol, _, address = _resolved(host, port)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # on Windows it would let two servers have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as exc:
        listening.close()
        raise _refused(exc, host, port) from exc
    return listening


def url_of(listening: socket.socket, host: str) -> str:
    """http://HOST:PORT as a person would type it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def _resolved(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # type: ignore[return-value]
    except (OSError, UnicodeError) as exc:
        raise SettingsError(
            f"--host {host!r} is no address of this machine ({exc}); 127.0.0.1 is this machine only, "
            "0.0.0.0 all its networks"
        ) from exc


def _refused(exc: OSError, host: str, port: int) -> SettingsError:
    if exc.errno == errno.EADDRINUSE:
        return SettingsError(
            f"port {port} of {host} is in use, perhaps by another `clipsearch serve`; stop that, or choose "
            "another: --port 0 takes a free one"
        )
    if exc.errno == errno.EACCES:
        return SettingsError(
            f"port {port} is for the system's administrator; choose one from 1024 up: --port 8300"
        )
    reason = exc.strerror or exc
    return SettingsError(f"cannot listen on {host} port {port}: {reason}; check --host and --port")
