"""The pictures of a query: files, or addresses that are fetched. Decodes nothing."""

from __future__ import annotations

import time
from pathlib import Path

from clipsearch.errors import SourceError

MAX_BYTES = 64 << 20
_TIMEOUT_S = 20.0  # without a byte
_DEADLINE_S = 60.0  # for all of it


def picture(place: str) -> Path | bytes:
    """The file at a path, or what an http(s) address answers. Raises SourceError."""
    if place.startswith(("http://", "https://")):
        return _fetched(place)
    path = Path(place).expanduser()
    if not path.is_file():
        raise SourceError(f"there is no picture at {place}; check the path")
    return path


def _fetched(url: str) -> bytes:
    import httpx

    body = bytearray()
    until = time.monotonic() + _DEADLINE_S
    try:
        with httpx.stream("GET", url, timeout=_TIMEOUT_S, follow_redirects=True) as answer:
            if not answer.is_success:
                raise SourceError(f"{url} answers {answer.status_code}; check the address")
            for block in answer.iter_bytes():
                body += block
                if len(body) > MAX_BYTES:
                    raise SourceError(
                        f"{url} is larger than {MAX_BYTES >> 20} MB; fetch it and make it smaller"
                    )
                if time.monotonic() > until:
                    raise SourceError(f"{url} takes longer than {_DEADLINE_S:.0f} s; save the picture first")
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise SourceError(f"{url} cannot be fetched ({exc}); check the address, or save the picture") from exc
    return bytes(body)
