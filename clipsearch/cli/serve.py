"""`clipsearch serve`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli.options import device_option, place_options, settings_from

if TYPE_CHECKING:
    from clipsearch.serve import Access
    from clipsearch.serve.server import Service
    from clipsearch.settings import Settings

_REMOTE_RATE = 20.0  # a person's clicks and a page's prefetches; a program of yours raises it


@click.command(short_help="Serve collections over HTTP.")
@click.argument("collections", nargs=-1)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0: every network."
)
@click.option(
    "-p", "--port", default=8300, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file with the API key. [env: CLIPSEARCH_SERVE_KEY has the key itself]",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="A web page's address, such as https://shop.example, whose scripts may ask. May repeat.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Requests a second and client; 0: no bound. [default: none on loopback, else 20]",
)
@click.option(
    "--max-upload",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="MB",
    help="The largest picture taken.",
)
@place_options
@device_option
def serve(
    collections: tuple[str, ...],
    host: str,
    port: int,
    key_file: Path | None,
    origins: tuple[str, ...],
    rate: float | None,
    max_upload: int,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Serve collections over HTTP, until Ctrl-C; without names, all there are.

    \b
    clipsearch serve                                   this machine only, http://127.0.0.1:8300
    clipsearch serve parts photos --port 9000
    clipsearch serve --host 0.0.0.0 --key-file key     the network too, with a key
    curl 'http://127.0.0.1:8300/search?q=brass+hex+bolt&filter=price<=5'
    curl -F image=@photo.jpg -F q=brass http://127.0.0.1:8300/search/image

    While it runs it owns the embedded collections. /docs describes the routes, /metrics is for Prometheus.
    On another --host than this machine every request needs the key, as `Authorization: Bearer KEY`; without
    one given, it is made once and kept in serve.key of the data folder.
    """
    from clipsearch.serve import Limits, address
    from clipsearch.serve.server import Service, run

    settings = settings_from(data=data, url=url, device=device)
    local = address.is_loopback(host)
    access, origin_of_key = _access(settings, host, local, key_file, origins)
    bound = (None if local else _REMOTE_RATE) if rate is None else rate or None
    limits = dataclasses.replace(Limits(), rate=bound, upload_bytes=max_upload * 1024 * 1024)
    with address.bind(host, port) as listening:
        service = Service(settings, collections, access=access, limits=limits)
        try:
            service.open(tell=_tell)
        except BaseException:
            service.close()
            raise

        def tell_ready() -> None:
            _announce(service, address.url_of(listening, host), local, origin_of_key)

        run(service, listening, on_listening=tell_ready, tell=_tell)
    _tell("stopped")


def _access(
    settings: Settings, host: str, local: bool, key_file: Path | None, origins: tuple[str, ...]
) -> tuple[Access, str | None]:
    """Who may ask, and where the key is to be found."""
    from clipsearch.serve import Access, keys

    for origin in origins:
        if "://" not in origin or origin.endswith("/") or "*" in origin:
            raise click.UsageError(
                f"--allow-origin {origin!r} is no page's address; write https://shop.example, with no "
                "slash at the end"
            )
    found = keys.given_key(key_file) or (None if local else keys.own_key(settings.data))
    hosts = frozenset({"localhost", "127.0.0.1", "::1", host.lower()}) if local else frozenset()
    return Access(key=found[0] if found else None, hosts=hosts, origins=origins), found[1] if found else None


def _announce(service: Service, url: str, local: bool, origin_of_key: str | None) -> None:
    opened = service.collections.open_now()
    for name, searcher in opened.items():
        _tell(
            f"collection {name}: {searcher.store.count():,} pictures, {searcher.store.spec.fingerprint.model}"
        )
    if not opened:
        _tell("no collection yet; one that you index is served when it is first asked for")
    if origin_of_key is not None:
        _tell(f"every request needs the key in {origin_of_key}")
    if not local:
        _tell("plain HTTP: put a proxy with TLS before it, or keys and pictures travel readable")
    _tell(f"docs: {url}/docs")
    _tell(f"listening on {url}{' (this machine only)' if local else ''}; Ctrl-C stops")


def _tell(line: str) -> None:
    click.echo(line, err=True)
