"""A plan as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.plan import Plan
from indexer.report import duration


def lines(plan: Plan) -> Iterator[str]:
    """One fact a line."""
    yield _row("pictures", _pictures(plan))
    yield _row("model", f"{plan.model}, {plan.precision} on {plan.device}")
    if not plan.to_encode:
        yield "nothing to encode; a run would only look at the files' dates"
        return
    if not plan.sampled:
        yield "none of them could be tried in time; is the source reachable?"
        return
    yield _row("time", f"{duration(plan.seconds)}, at {plan.images_per_s:,.1f} images/s")
    yield _row("disk", f"{_size(plan.disk_bytes)} for the collection")
    yield _row("memory", f"{_size(plan.memory_bytes)} for the engine, while it is open")
    yield _row("batch", f"{plan.batch_size} pictures, {plan.workers} threads")
    each = [("read", plan.read_ms), ("decode", plan.decode_ms), ("encode", plan.encode_ms)]
    yield _row("a picture", ", ".join(f"{name} {ms:.1f} ms" for name, ms in each if ms))
    yield _row("bottleneck", plan.bottleneck)
    if plan.failed:
        yield _row("unusable", f"{plan.failed} of the {plan.sampled} tried")
    for text in plan.advice:
        yield _row("faster", text)


def _pictures(plan: Plan) -> str:
    parts = [f"{plan.found:,} found"]
    if plan.unchanged:
        parts.append(f"{plan.unchanged:,} unchanged, {plan.to_encode:,} to do")
    if plan.sampled:
        parts.append(f"{plan.sampled} tried")
    return ", ".join(parts)


def _row(label: str, value: str) -> str:
    return f"{label:<11} {value}"


def _size(n_bytes: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes / 1e3:,.0f} kB"
