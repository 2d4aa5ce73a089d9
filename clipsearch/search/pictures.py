"""The pictures of a query: files, or addresses that are fetched. Decodes nothing."""

from __future__ import annotations

from pathlib import Path

from clipsearch.errors import SourceError

MAX_BYTES = 64 << 20
_TIMEOUT_S = 20.0


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
    try:
        with httpx.stream("GET", url, timeout=_TIMEOUT_S, follow_redirects=True) as answer:
            answer.raise_for_status()
            for block in answer.iter_bytes():
                body += block
                if len(body) > MAX_BYTES:
                    raise SourceError(
                        f"{url} is larger than {MAX_BYTES >> 20} MB; fetch it and make it smaller"
                    )
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise SourceError(f"{url} cannot be fetched ({exc}); check the address, or save the picture") from exc
    return bytes(body)
