"""The API key: where it comes from, and whether a request has it. Never shown; messages name its file."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from clipsearch.errors import SettingsError

VARIABLE = "CLIPSEARCH_SERVE_KEY"
FILE_NAME = "serve.key"
_MIN_CHARS = 16


def given_key(key_file: Path | None) -> tuple[str, str] | None:
    """The key of --key-file or of CLIPSEARCH_SERVE_KEY with where it is from; None if neither is given."""
    if key_file is not None:
        return _read(key_file), str(key_file)
    value = os.environ.get(VARIABLE, "").strip()
    return (_checked(value, VARIABLE), VARIABLE) if value else None


def own_key(data: Path) -> tuple[str, str]:
    """The key in <data>/serve.key, made at the first call, for its owner's eyes only; and its file."""
    path = data / FILE_NAME
    data.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise SettingsError(
                f"{path} can be read by others, so its key may be known to them; delete it, and a new one is "
                f"made, or keep it with: chmod 600 {path}"
            ) from None
        return _read(path), str(path)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(secrets.token_urlsafe(32) + "\n")
    return _read(path), str(path)


def has_key(headers: Iterable[tuple[bytes, bytes]], key: str) -> bool:
    """Whether `Authorization: Bearer KEY` or `X-API-Key: KEY` is among the headers; in constant time."""
    wanted, found = hashlib.sha256(key.encode()).digest(), False
    for name, value in headers:
        if name == b"x-api-key":
            offered = value.strip()
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            offered = value[7:].strip()
        else:
            continue
        # digests are of equal length whatever was sent, so that not even the key's length shows
        found |= hmac.compare_digest(hashlib.sha256(offered).digest(), wanted)
    return found


def _read(path: Path) -> str:
    try:
        return _checked(path.read_text(encoding="utf-8").strip(), str(path))
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise SettingsError(f"the key file {path} cannot be read: {reason}; mend it or name another") from exc


def _checked(key: str, origin: str) -> str:
    if len(key) < _MIN_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"the key from {origin} cannot be used: write {_MIN_CHARS} or more ASCII letters and digits "
            "in one line, no spaces; python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
        )
    return key
