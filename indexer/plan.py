"""`clipsearch index --plan`: looks, tries a few hundred pictures, and tells what the whole will take.

Writes no collection. What it measures is this machine with this model and these pictures; what it derives
is named in `Plan`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import numpy as np

from clipsearch.encoder import Encoder
from clipsearch.errors import EncoderError, SourceError
from clipsearch.settings import Settings
from clipsearch.store import exists, read_spec
from clipsearch.types import ImageFile
from indexer.encoding import CPU_BATCH, Encoding
from indexer.ledger import LEDGER, Ledger, change, record_id
from indexer.loading import Loaded, Work
from indexer.options import RunOptions
from indexer.pipeline import DECODE, ENCODE, Pipeline
from indexer.sources import Source
from indexer.stages import chunks

SAMPLE = 256  # pictures
_PROBE_S = 40.0  # at most, for slow models and slow sources
_CHUNK = 2000
# Of Qdrant Edge, within a third of what benchmarks/store.py --sizes shows for 2,000-60,000 points of 512 and
# 1,152 dimensions with five fields; a graph, above 50,000 points, adds 0.2 KB a point.
_DISK_FACTOR, _DISK_POINT, _DISK_BASE = 1.1, 1300, 10 << 20
_MEMORY_FACTOR, _MEMORY_POINT, _MEMORY_BASE = 2.0, 1300, 60 << 20
_FASTER = 1.15  # a way must be this much faster to be worth a line


@dataclass(slots=True)
class Plan:
    """What an index run would do and take. Seconds and bytes; per-picture times are of one thread."""

    source: str
    model: str
    device: str
    precision: str
    found: int
    unchanged: int
    to_encode: int
    sampled: int
    failed: int  # of the sample
    seconds: float
    images_per_s: float
    read_ms: float
    decode_ms: float
    encode_ms: float
    batch_size: int
    workers: int
    bottleneck: str
    disk_bytes: int
    memory_bytes: int
    advice: list[str] = field(default_factory=list)


def plan(
    source: Source,
    settings: Settings,
    options: RunOptions,
    *,
    on_progress: Callable[[str], None] = lambda stage: None,
) -> Plan:
    """Look at the source and try a sample of it. Raises SourceError if there is nothing to try."""
    with ExitStack() as stack:
        on_progress("finding pictures")
        made = (
            read_spec(settings.collection, settings).fingerprint
            if exists(settings.collection, settings)
            else None
        )
        sample, found, unchanged = _sampled(source, _ledger(settings, stack) if made else None)
        if not found:
            raise SourceError(f"there is no picture in {source.name}; nothing to plan")
        on_progress("opening the model")
        encoding = Encoding.open(options, settings, stack, made=made)
        pipeline = encoding.pipeline(
            batch_size=options.batch_size, n_readers=source.n_readers, on_compile=on_progress
        )
        done, seconds = _probed(pipeline, sample)
        return _told(source, encoding, pipeline, done, seconds, found, unchanged)


def _ledger(settings: Settings, stack: ExitStack) -> Ledger | None:
    path = settings.collection_dir() / LEDGER
    return stack.enter_context(Ledger(path)) if path.is_file() else None


def _sampled(source: Source, ledger: Ledger | None) -> tuple[list[ImageFile], int, int]:
    """A fair sample of the pictures to encode, how many there are, and how many are unchanged."""
    rng = random.Random(0)
    sample: list[tuple[int, ImageFile]] = []
    n_found = n_todo = 0
    for chunk in chunks(source.files(), _CHUNK):
        n_found += len(chunk)
        for file in _changed(chunk, ledger):
            n_todo += 1
            if len(sample) < SAMPLE:  # reservoir sampling: each has the same chance
                sample.append((n_todo, file))
            elif (at := rng.randrange(n_todo)) < SAMPLE:
                sample[at] = (n_todo, file)
    sample.sort(key=lambda numbered: numbered[0])  # as they lie: archives and tables are read forwards
    return [file for _, file in sample], n_found, n_found - n_todo


def _changed(files: Sequence[ImageFile], ledger: Ledger | None) -> Iterator[ImageFile]:
    if ledger is None:
        yield from files
        return
    ids = [record_id(file) for file in files]
    known = ledger.known(ids)
    for file, id in zip(files, ids, strict=True):
        if change(file, known.get(id)) in ("new", "columns"):
            yield file


def _probed(pipeline: Pipeline, sample: Sequence[ImageFile]) -> tuple[list[Loaded], float]:
    """What became of the sample, and the seconds it took, without the first batches (loading the model)."""
    work = [Work(file, str(i)) for i, file in enumerate(sample)]
    few = min(len(work), 2 * CPU_BATCH)
    for _ in pipeline.run(iter(work[:few])):
        pass
    pipeline.meter.reset()
    rest = work[few:] or work
    end = time.perf_counter() + _PROBE_S
    done: list[Loaded] = []
    start = time.perf_counter()
    with closing(pipeline.run(iter(rest), until=lambda: time.perf_counter() > end)) as batches:
        for batch in batches:
            done += batch
    return done, time.perf_counter() - start


def _told(
    source: Source,
    encoding: Encoding,
    pipeline: Pipeline,
    done: Sequence[Loaded],
    seconds: float,
    found: int,
    unchanged: int,
) -> Plan:
    made, wall = encoding.fingerprint, pipeline.meter.wall
    n, n_encoded = max(1, len(done)), sum(item.vector is not None for item in done)
    todo = found - unchanged
    shares = pipeline.meter.shares_over(seconds)
    told = Plan(
        source=source.name,
        model=made.model,
        device=",".join(encoder.device.name for encoder in encoding.encoders),
        precision=made.precision,
        found=found,
        unchanged=unchanged,
        to_encode=todo,
        sampled=len(done),
        failed=sum(item.error is not None for item in done),
        seconds=todo * seconds / n if done else 0.0,
        images_per_s=len(done) / seconds if done else 0.0,
        read_ms=1000 * wall.get("read", 0.0) / n,
        decode_ms=1000 * wall.get(DECODE, 0.0) / n,
        encode_ms=1000 * wall.get(ENCODE, 0.0) / max(1, n_encoded),
        batch_size=pipeline.batch_size(),
        workers=encoding.workers,
        bottleneck=_bottleneck(encoding, shares),
        disk_bytes=_bytes(found, made.dim, _DISK_FACTOR, _DISK_POINT, _DISK_BASE),
        memory_bytes=_bytes(found, made.dim, _MEMORY_FACTOR, _MEMORY_POINT, _MEMORY_BASE),
    )
    told.advice = _advice(told, encoding, shares)
    return told


def _bytes(n: int, dim: int, factor: float, point: int, base: int) -> int:
    return int(base + n * (factor * 4 * dim + point))


def _bottleneck(encoding: Encoding, shares: dict[str, float]) -> str:
    """The stage with the most work; on a CPU decoding and encoding share the threads."""
    label = {"encode": "encode" if encoding.fused else "gpu"}
    busiest = max(shares, key=lambda name: shares[name], default="encode")
    return label.get(busiest, busiest)


def _advice(told: Plan, encoding: Encoding, shares: dict[str, float]) -> list[str]:
    """What would make it faster, measured where it can be."""
    advice: list[str] = []
    if not told.sampled or not told.to_encode:
        return advice
    if encoding.fused:
        advice += _faster_precisions(told, encoding)
        advice.append("a GPU would take the encoding off these cores: --device cuda on a machine with one")
    elif told.bottleneck == DECODE:
        advice.append(
            f"the GPU waits for decoding ({shares[ENCODE]:.0%} busy): more cores, or smaller pictures"
        )
    if told.bottleneck == "read":
        advice.append(
            "reading is the slowest part: index where the pictures are, or copy them to a local disk"
        )
    if told.decode_ms > told.encode_ms and encoding.encoders[0].fingerprint.decode == "exact":
        advice.append("--exact decodes JPEGs at full size; without it they are decoded four times as fast")
    return advice


def _faster_precisions(told: Plan, encoding: Encoding) -> list[str]:
    """int8 beside what is used, on this CPU."""
    if told.precision != "fp32":
        return []
    first = encoding.encoders[0]
    try:
        with Encoder.open(
            told.model, device="cpu", cache=first.cache, precision="int8", threads=1
        ) as encoder:
            int8_ms = 1000 / _pace(encoder)
    except EncoderError:
        return []
    fp32_ms = 1000 / _pace(first)
    before = told.read_ms + told.decode_ms + told.encode_ms
    gain = before / (before - told.encode_ms * (1 - int8_ms / fp32_ms))
    if gain < _FASTER:
        return []
    each = f"{int8_ms:.0f} against {fp32_ms:.0f} ms to encode a picture"
    return [f"--precision int8 is {gain:.1f} times as fast here ({each})"]


def _pace(encoder: Encoder) -> float:
    """Pictures a second of one thread."""
    side = encoder.preprocessing
    pixels = np.random.default_rng(0).integers(
        0, 256, (CPU_BATCH, side.height, side.width, 3), dtype=np.uint8
    )
    encoder.encode_pixels(pixels)
    start = time.perf_counter()
    for _ in range(2):
        encoder.encode_pixels(pixels)
    return 2 * CPU_BATCH / (time.perf_counter() - start)
