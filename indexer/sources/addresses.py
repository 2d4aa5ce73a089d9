"""URLs and network addresses: which may be asked, and how a URL is shown. Opens no connection."""

from __future__ import annotations

import ipaddress
import re
from typing import TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

_HTTP = re.compile(r"https?://", re.IGNORECASE)
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf"})
"""Stores that a list or a catalogue may name pictures of; no file://, which leads into this machine."""
_MAX_URL = 8192  # characters; servers take fewer
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_http(text: str) -> bool:
    """Whether the text is meant as an address of the web."""
    return _HTTP.match(text) is not None


def is_stored(text: str) -> bool:
    """Whether the text is an address in one of STORES."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.lower() in STORES and "::" not in text


def is_address(text: str) -> bool:
    """Whether a picture so named is elsewhere, and not a path."""
    return is_http(text) or is_stored(text)


def fault(url: str) -> str:
    """Why nothing can be asked for there; '' for a URL that can be tried."""
    if len(url) > _MAX_URL:
        return f"a URL of {len(url):,} characters, more than {_MAX_URL:,}"
    if any(character < " " or character == "\x7f" for character in url):
        return "a control character in it"
    if not is_http(url):
        return "only http:// and https:// are fetched"
    try:
        url.encode()
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except UnicodeError:
        return "bytes in it that are no UTF-8; write them as %xx"
    except ValueError as exc:  # brackets that are no IPv6, a port that is no number, half a character
        return str(exc)
    if not host:
        return "no host in it"
    return "port 0" if port == 0 else ""


def without_credentials(url: str) -> str:
    """The URL as it is shown and stored: no user:password@."""
    if "@" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def credentials(url: str) -> tuple[str, str] | None:
    """(user, password) of a URL that has them."""
    parts: SplitResult = urlsplit(url)
    if not parts.username and not parts.password:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")


def origin(url: str) -> str:
    """Scheme, host and port: what a pace is kept for."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}"


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet's, whatever it is wrapped in.

    Not: private, loopback, link-local (cloud metadata), carrier-grade NAT, multicast, reserved, and
    IPv6 addresses that lead to such an IPv4 one.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return _is_public(found)
    if found in _NAT64:  # what DNS64 makes of every IPv4 address in a network of IPv6 only
        return _is_public(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
    if found.ipv4_mapped is not None:
        return _is_public(found.ipv4_mapped)
    tunnelled = [each for each in (found.sixtofour, *(found.teredo or ())) if each is not None]
    return not found.scope_id and not found.is_site_local and all(map(_is_public, (found, *tunnelled)))


def _is_public(address: _Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
