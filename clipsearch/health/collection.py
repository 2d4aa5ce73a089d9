"""One collection: who has it open, what is in it, and whether its model is the one that made it.

Opens the collection and the model, and changes neither.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from clipsearch import lexical
from clipsearch.encoder import Encoder
from clipsearch.encoder.compiled import TowerName
from clipsearch.encoder.opened import OpenedTowers
from clipsearch.errors import ClipSearchError, CollectionLocked, EncoderError
from clipsearch.health.drift import Reader
from clipsearch.health.findings import Finding, gigabytes
from clipsearch.health.pictures import N_PICTURES, Progress, pictures
from clipsearch.models import resolve
from clipsearch.settings import Settings
from clipsearch.store import Store, open_store, read_spec
from clipsearch.types import CollectionSpec


def examine_collection(
    name: str,
    settings: Settings,
    *,
    read: Reader | None = None,
    n_pictures: int = N_PICTURES,
    on_progress: Progress | None = None,
) -> list[Finding]:
    """What there is to say about a collection. read: from a record's path to its picture; None: a file.

    Never raises for what is wrong with the collection: that is what the findings say.
    """
    try:
        spec = read_spec(name, settings)
    except ClipSearchError as exc:
        return [Finding("collection", name, "cannot be read", "problem", str(exc))]
    found = [*_files(name, settings, spec), *_owner(name, settings)]
    encoder, about_model = _model(spec, settings)
    try:
        with open_store(name, settings) as store:
            found += _contents(store)
            found += about_model
            found += pictures(store, encoder, read, n=n_pictures, on_progress=on_progress)
    except CollectionLocked as exc:
        found += about_model
        found.append(Finding("collection", "points", "could not be looked at", "warn", str(exc)))
    except ClipSearchError as exc:
        found += about_model
        found.append(Finding("collection", "points", "cannot be read", "problem", str(exc)))
    finally:
        if encoder is not None:
            encoder.close()
    return found


def _files(name: str, settings: Settings, spec: CollectionSpec) -> Iterator[Finding]:
    made = spec.fingerprint
    value = f"{made.model}, {made.dim} dims, {made.precision}, {made.decode} decoding"
    yield Finding("collection", "made by", value)
    if spec.lexical < lexical.VERSION:
        value = f"version {spec.lexical}, this clipsearch writes {lexical.VERSION}"
        advice = f"words are found less well; index again: clipsearch index … -c {name}"
        yield Finding("collection", "words", value, "warn", advice)
    if settings.url is not None:
        return
    from clipsearch.store.embedded.edge import engine_version
    from clipsearch.store.embedded.folder import Folder, size_on_disk

    folder = Folder(settings.collection_dir(name))
    wrote, now = folder.engine_version(), engine_version()
    if wrote == now:
        yield Finding("collection", "format", f"{now}, as installed")
    else:
        advice = "if it does not open, install the version that made it, or index again"
        yield Finding("collection", "format", f"made by {wrote}, installed is {now}", "warn", advice)
    size = size_on_disk(folder.path)
    yield Finding("collection", "disk", f"{gigabytes(size)} in {folder.path}", facts={"bytes": size})


def _owner(name: str, settings: Settings) -> Iterator[Finding]:
    """Who has an embedded collection open: a process that serves it, one that holds the lock, or nobody."""
    if settings.url is not None:
        return
    from clipsearch.store.lock import holder
    from clipsearch.store.served.record import read

    folder = settings.collection_dir(name)
    record = read(folder)
    if record is not None and _runs(record.pid):
        yield Finding(
            "collection", "open in", f"process {record.pid}, which serves it since {record.started}"
        )
    elif record is not None:
        advice = "it ended without a goodbye; whoever opens the collection next takes over"
        yield Finding("collection", "open in", f"nothing; process {record.pid} served it", "ok", advice)
    elif (pid := (held := holder(folder)).get("pid")) and pid != os.getpid() and _runs(int(pid)):
        value = f"process {pid}: {held.get('command', '?')}, since {held.get('since', '?')}"
        yield Finding("collection", "open in", value)
    else:
        yield Finding("collection", "open in", "no other process")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _contents(store: Store) -> Iterator[Finding]:
    from clipsearch.store.embedded.engine import GRAPH_ABOVE

    info = store.info()
    facts = {"points": info.n_points, "in_graph": info.n_indexed}
    if info.n_points == 0:
        yield Finding("collection", "points", "none", "warn", "index some pictures into it", facts)
        return
    share = info.n_indexed / info.n_points
    graph = f"{share:.0%} of them in the search graph" if info.n_indexed else "searched by a scan of all"
    value = f"{info.n_points:,}, {graph}"
    if info.n_points > GRAPH_ABOVE and share < 0.9:
        advice = f"searches scan the others; the next clipsearch index … -c {info.name} takes them in"
        yield Finding("collection", "points", value, "warn", advice, facts)
    else:
        yield Finding("collection", "points", value, facts=facts)
    unindexed = getattr(store, "unindexed", None)  # a served collection's owner keeps its indexes itself
    if unindexed is None:
        return
    bare = unindexed()
    fields = f"{len(store.spec.fields)} of the user's"
    if bare:
        advice = f"filters on them scan every point; the next clipsearch index … -c {info.name} indexes them"
        yield Finding("collection", "fields", f"{fields}; without index: {', '.join(bare)}", "warn", advice)
    else:
        yield Finding("collection", "fields", f"{fields}, all indexed")


def _model(spec: CollectionSpec, settings: Settings) -> tuple[Encoder | None, list[Finding]]:
    """The encoder to compare with, if the model here is the one that made the collection."""
    made = spec.fingerprint
    try:
        folder = resolve(made.model, download=False)
        encoder = _encoder(spec, settings)
    except ClipSearchError as exc:
        return None, [Finding("model", made.model, "not usable here", "problem", str(exc))]
    now = encoder.fingerprint
    differs = [
        what
        for what, stored, current in (
            ("weights", made.weights_sha256, now.weights_sha256),
            ("preprocessing", made.preprocessing, now.preprocessing),
            ("tokenizer", made.tokenizer_sha256, now.tokenizer_sha256),
        )
        if stored != current
    ]
    facts = {"made": made.weights_sha256, "now": now.weights_sha256}
    if differs:
        encoder.close()
        value = f"{folder.path}: {' and '.join(differs)} differ from what made the collection"
        advice = (
            f"searches are refused; get the model of then (weights {made.weights_sha256[:12]}), "
            "or index again into a new collection"
        )
        return None, [Finding("model", made.model, value, "problem", advice, facts)]
    value = f"the one that made it (weights {now.weights_sha256[:12]}), in {folder.path}"
    return encoder, [Finding("model", made.model, value, facts=facts), _towers(encoder, folder.path)]


def _encoder(spec: CollectionSpec, settings: Settings) -> Encoder:
    made = spec.fingerprint
    exact = made.decode == "exact"
    asked = None if exact else made.precision
    for precision in dict.fromkeys((asked, None)):
        try:
            return Encoder.open(
                made.model,
                device=settings.device,
                cache=settings.cache,
                exact=exact,
                precision=precision,
                download=False,
            )
        except EncoderError:  # made on another device, at a precision that this one has not
            if precision is None:
                raise
    raise AssertionError("unreachable")


def _towers(encoder: Encoder, folder: Path) -> Finding:
    towers = OpenedTowers(folder, encoder.fingerprint.weights_sha256, encoder.cache, threads=None)
    wanted: tuple[TowerName, ...] = ("text", "image") if encoder.device.is_cpu else ("text",)
    lacking = [name for name in wanted if not towers.is_settled(name)]
    refused = [name for name in wanted if towers.refusal(name)]
    if lacking:
        advice = "a search loads PyTorch (seconds) until they are made; the next index run makes them"
        return Finding("model", "compiled", f"not yet: {', '.join(lacking)}", "warn", advice)
    if refused:
        return Finding("model", "compiled", f"not possible for {', '.join(refused)}: PyTorch runs them")
    return Finding("model", "compiled", f"{' and '.join(wanted)}, for ONNX Runtime")
