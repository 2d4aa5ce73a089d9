"""The way to a Qdrant server: how it is reached, tried again, and what its failures mean.

Owns timeouts, retries and the translation of every error of qdrant-client, httpx and gRPC. Knows
nothing of points.
"""

from __future__ import annotations

import contextlib
import random
import socket
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from clipsearch.errors import ClipSearchError, CollectionNotFound, SettingsError, StoreError, StoreUnavailable
from clipsearch.settings import Settings, shown_address

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

T = TypeVar("T")
TIMEOUT_S = 30
TRIES = 7  # up to 16 s of pauses in all, for a server that restarts
_PAUSE_S = 0.25
_GRPC_GREETING_S = 2  # a port that listens but does not greet speaks something else
_GRPC_STATUS = {
    "UNAVAILABLE": 503,
    "ABORTED": 503,
    "CANCELLED": 503,
    "DEADLINE_EXCEEDED": 504,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "INVALID_ARGUMENT": 400,
}


class Connection:
    """A client with retries. Every request of ours can be repeated without harm."""

    def __init__(
        self,
        client: QdrantClient,
        address: str,
        *,
        owned: bool = True,
        tries: int = TRIES,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self.client, self.address, self.owned = client, address, owned
        self.tries, self.pause_s = tries, pause_s

    def call(self, function: Callable[..., T], *args: Any, tries: int | None = None, **kwargs: Any) -> T:
        """The function's answer; tried again with growing, jittered pauses while the server is away.

        Raises StoreUnavailable, CollectionNotFound or StoreError.
        """
        tries = tries or self.tries
        for attempt in range(1, tries + 1):
            try:
                return function(*args, **kwargs)
            except ClipSearchError:
                raise
            except Exception as exc:
                status = _status(exc)
                if attempt == tries or not (status == 429 or status >= 500):
                    raise self.error(exc) from exc
                # Doubling, and between half and the whole of it, so that clients do not come back at once.
                pause = self.pause_s * 2 ** (attempt - 1) * random.uniform(0.5, 1)
                time.sleep(max(pause, _retry_after_s(exc)))
        raise AssertionError("unreachable")

    def error(self, exc: Exception) -> StoreError:
        """What the vendor's exception means to the user."""
        status, text = _status(exc), _text(exc)
        if status in (401, 403):
            return StoreError(
                f"the Qdrant server at {self.address} refused the API key ({text}); "
                "set QDRANT_API_KEY to one that may do this"
            )
        if status == 404:
            return CollectionNotFound(f"the Qdrant server at {self.address} does not have it: {text}")
        if "No space left" in text:
            return StoreError(
                f"the disk of the Qdrant server at {self.address} is full ({text}); free some space there "
                "and run the same command again, nothing acknowledged is lost"
            )
        if status == 429 or status >= 500:
            return StoreUnavailable(
                f"the Qdrant server at {self.address} does not answer ({text}); start it "
                "(docker compose up -d), check the address, or unset QDRANT_URL to use the embedded engine. "
                "Then run the same command again: nothing acknowledged is lost"
            )
        return StoreError(f"the Qdrant server at {self.address} refused: {text}")

    def close(self) -> None:
        """Let go of the sockets; a client that was lent to us stays open."""
        if self.owned:
            with contextlib.suppress(Exception):
                self.client.close()


def connect(settings: Settings) -> Connection:
    """A connection to settings.url, gRPC where its port answers, REST otherwise.

    Raises SettingsError where the API key would travel in clear text, StoreUnavailable for a dead server.
    """
    url = settings.url or ""
    parts = urlsplit(url)
    _check_key(parts, settings)
    port = 0 if parts.path.strip("/") else _grpc_port(parts)
    if port:
        connection = Connection(_client(url, parts, settings, grpc_port=port), shown_address(url))
        try:
            connection.call(connection.client.get_collections, tries=1)
            return connection
        except StoreError:  # the port belongs to something else; REST has the last word
            connection.close()
    connection = Connection(_client(url, parts, settings), shown_address(url))
    try:
        connection.call(connection.client.get_collections, tries=1)  # a dead server is said at once
    except BaseException:
        connection.close()
        raise
    return connection


def _client(url: str, parts: SplitResult, settings: Settings, *, grpc_port: int = 0) -> QdrantClient:
    from qdrant_client import QdrantClient

    extra: dict[str, Any] = {"trust_env": False} if _is_loopback(parts) else {}
    with warnings.catch_warnings():  # it warns of keys over http; here that is loopback only
        warnings.simplefilter("ignore", UserWarning)
        return QdrantClient(
            url=url,
            port=parts.port or 6333,
            grpc_port=grpc_port or 6334,
            prefer_grpc=bool(grpc_port),
            api_key=settings.api_key,
            timeout=TIMEOUT_S,
            check_compatibility=False,
            **extra,
        )


def _grpc_port(parts: SplitResult) -> int:
    """The gRPC port beside the REST port if gRPC is spoken there, else 0."""
    port = (parts.port or 6333) + 1
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=1):
            pass
    except (OSError, OverflowError):
        return 0
    grpc = import_module("grpc")  # has no type stubs
    address = f"{parts.hostname}:{port}"
    if parts.scheme == "https":
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials())
    else:
        channel = grpc.insecure_channel(address)
    try:
        grpc.channel_ready_future(channel).result(timeout=_GRPC_GREETING_S)
        return port
    except grpc.FutureTimeoutError:
        return 0
    finally:
        channel.close()


def _check_key(parts: SplitResult, settings: Settings) -> None:
    if settings.api_key and parts.scheme != "https" and not _is_loopback(parts):
        raise SettingsError(
            f"the API key would travel unencrypted to {shown_address(settings.url or '')} (from "
            f"{settings.origins.get('url', 'the settings')}); write https://, or unset the key"
        )


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _status(exc: BaseException) -> int:
    """An HTTP status that says what happened; 503 where nobody answered, 0 where there is none."""
    from httpx import RequestError
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(exc, UnexpectedResponse):
        return exc.status_code or 0
    if isinstance(exc, ResourceExhaustedResponse):
        return 429
    if isinstance(exc, ResponseHandlingException):
        return 503 if isinstance(exc.source, (RequestError, OSError)) else 0
    code = getattr(exc, "code", None)
    if callable(code):  # grpc.RpcError
        return _GRPC_STATUS.get(getattr(code(), "name", ""), 0)
    if isinstance(exc, ValueError) and "not found" in str(exc):  # the client's in-memory mode
        return 404
    return 0


def _retry_after_s(exc: BaseException) -> float:
    return min(float(getattr(exc, "retry_after_s", 0) or 0), float(TIMEOUT_S))


def _text(exc: BaseException) -> str:
    """The server's own words, on one line."""
    source: Any = getattr(exc, "source", exc)
    details = getattr(source, "details", None)
    said = details() if callable(details) else None
    if said is None and hasattr(source, "structured"):
        with contextlib.suppress(Exception):
            said = source.structured()["status"]["error"]
    if said is None and getattr(source, "status_code", None):
        said = f"{source.status_code} {getattr(source, 'reason_phrase', '')}"
    text = " ".join(str(said or source).split())[:300]
    return text or type(source).__name__
