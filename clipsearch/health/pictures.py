"""A collection's pictures: whether they are where they were, unchanged, and still give the same vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from clipsearch.encoder import Encoder
from clipsearch.health.drift import Drift, Limits, Reader, drift_of, limits_for
from clipsearch.health.findings import Finding
from clipsearch.store import Store
from clipsearch.types import CollectionSpec, Point

Progress: TypeAlias = Callable[[str, int, int], None]
"""(what is done, how many so far, of how many)."""

N_PICTURES = 32
_SPARE = 4  # times as many are drawn, for those that are gone or changed
_MULTIPLIER = 2654435761  # Knuth's: the same sample every time, wherever ids that are alike lie


def pictures(
    store: Store,
    encoder: Encoder | None,
    read: Reader | None,
    *,
    n: int = N_PICTURES,
    on_progress: Progress | None = None,
) -> Iterator[Finding]:
    """Findings about all pictures' files, and about drift on n of them, if there is an encoder to ask.

    read: from a record's path to its picture; None: a file.
    """
    total = store.count()
    if total == 0:
        return
    missing, sample = _gone_and_sample(store, _SPARE * n, total, on_progress or (lambda *_: None))
    yield _missing(missing, total)
    if encoder is None:
        return
    drift = drift_of(sample, encoder, read or _file, n=n)
    yield from _drift(drift, store.spec, encoder.device.precision)


def _gone_and_sample(store: Store, n: int, total: int, tell: Progress) -> tuple[list[str], list[Point]]:
    """Paths of files that are gone, and n points drawn the same way every time, with their vectors."""
    missing: list[str] = []
    drawn: list[tuple[int, str]] = []
    done = 0
    for batch in store.scroll(batch_size=1000):
        for point in batch:
            path = str(point.payload.get("_path", ""))
            if "://" not in path and not _is_there(path):
                missing.append(path or str(point.payload.get("_key", point.id)))
        drawn += [(int(p.id.replace("-", ""), 16) * _MULTIPLIER % 2**61, p.id) for p in batch]
        drawn = sorted(drawn)[:n]
        done += len(batch)
        tell("looking for pictures", done, total)
    points = store.retrieve([id for _, id in drawn], with_vectors=True)
    return missing, points


def _is_there(path: str) -> bool:
    """Whether the file is there, or the archive or table that the path leads into."""
    place = Path(path)
    try:
        return place.is_file() or any(parent.is_file() for parent in place.parents)
    except OSError:
        return False


def _file(path: str) -> Path | None:
    return Path(path) if path and Path(path).is_file() else None


def _missing(missing: list[str], total: int) -> Finding:
    facts = {"missing": len(missing), "records": total, "first": missing[:10]}
    if not missing:
        return Finding("pictures", "files", f"all {total:,} are where they were", facts=facts)
    value = f"{len(missing):,} of {total:,} are gone, such as {missing[0]}"
    advice = (
        "if they were moved or the disk is not mounted, mend that; else take the records out: "
        "clipsearch index FOLDER --sync"
    )
    return Finding("pictures", "files", value, "warn", advice, facts)


def _drift(drift: Drift, spec: CollectionSpec, now: str) -> Iterator[Finding]:
    if drift.changed:
        value = f"{len(drift.changed)} of the sample are not as indexed, such as {drift.changed[0]}"
        advice = "run the same clipsearch index again: changed pictures are encoded anew"
        yield Finding("pictures", "changed", value, "warn", advice, {"changed": list(drift.changed)})
    made = spec.fingerprint.precision
    if not len(drift.cosines):
        advice = "none of the sample could be read; see the files above"
        yield Finding("pictures", "drift", "could not be measured", "warn", advice)
        return
    yield _drift_finding(drift, limits_for(made, now), made, now)


def _drift_finding(drift: Drift, limits: Limits, made: str, now: str) -> Finding:
    least, mean = float(drift.cosines.min()), float(drift.cosines.mean())
    how = f"{made}" if made == now else f"{made}, now {now}"
    value = (
        f"{len(drift.cosines)} pictures encoded again ({how}): "
        f"cosine {least:.5f} at least, {mean:.5f} in the mean"
    )
    facts = {
        "pictures": len(drift.cosines),
        "least": round(least, 6),
        "mean": round(mean, 6),
        "least_allowed": limits.least,
        "mean_allowed": limits.mean,
        "worst": drift.worst,
        "unreadable": len(drift.unreadable),
    }
    if least >= limits.least and mean >= limits.mean:
        return Finding("pictures", "drift", value, facts=facts)
    advice = (
        f"at least {limits.least} and {limits.mean} are expected ({drift.worst} is worst): "
        "another version or another model made these vectors. Index again into a new collection"
    )
    return Finding("pictures", "drift", value, "problem", advice, facts)
