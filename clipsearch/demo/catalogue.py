"""The bundled catalogue: about 600 parts as a CSV and two pictures of each, all from one seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from clipsearch.demo.captions import description
from clipsearch.demo.combinations import combinations
from clipsearch.demo.looks import SURFACES
from clipsearch.demo.parts import TYPES, Facts
from clipsearch.demo.studio import develop, photograph
from clipsearch.demo.words import NAMES
from clipsearch.demo.words.materials import FINISH_JA

SEED = 20_310  # no seed of a training set
PARTS = 600
SIZE = 200  # pixels
QUALITY = 76  # of the JPEGs: 1,200 of them stay under 6 MB
_DIAMETERS = (3, 4, 5, 6, 8, 10, 12, 16)
_LENGTHS = (6, 8, 10, 12, 16, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100, 120, 140, 160)
_SIZES = (16, 20, 25, 32, 40, 50, 63, 80, 100, 125)
_PIPES = (('1/4"', 8), ('3/8"', 10), ('1/2"', 15), ('3/4"', 20), ('1"', 25), ('1 1/4"', 32), ('2"', 50))
_BASE_PRICE = {
    "fasteners": 0.25,
    "power transmission": 6.5,
    "structure": 1.8,
    "pipe fittings": 3.2,
    "hardware": 3.9,
}  # EUR
_SHARES = {"train": 0.64, "val": 0.11, "test": 0.25}


@dataclass(frozen=True, slots=True)
class Part:
    """One row of parts.csv, in the order of its columns."""

    part_no: str
    name: str
    name_ja: str
    description: str
    description_ja: str
    family: str
    shape: str
    head: str
    drive: str
    material: str
    finish: str
    size: str
    length_mm: int | None
    diameter_mm: int
    holes: int | None
    teeth: int | None
    price: float
    image: str
    image_2: str
    split: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """A part before it has its number: what it is made from."""

    number: int  # of the random stream that draws it
    key: str
    surface: str
    split: str


def parts() -> list[Part]:
    """All rows, without rendering anything."""
    return [part for _, part in _numbered()]


def make_catalogue(
    out: Path, *, jobs: int = 1, on_part: Callable[[int, int], None] = lambda n, of: None
) -> None:
    """Write parts.csv and images/ into a folder; pictures that are there already are kept."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    rows = _numbered()
    todo = [(draft, part, out) for draft, part in rows if not (out / part.image_2).exists()]
    with ProcessPoolExecutor(jobs) as pool:
        for n, _ in enumerate(pool.map(_photographed, todo), start=1):
            on_part(n, len(todo))
    (out / "parts.csv").write_text(to_csv([part for _, part in rows]), encoding="utf-8", newline="")


def to_csv(rows: list[Part]) -> str:
    """The rows as parts.csv has them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Part.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _numbered() -> list[tuple[_Draft, Part]]:
    """Drafts with their parts; a part number that is taken gets a further letter."""
    taken: set[str] = set()
    rows = []
    for draft in _drafts():
        rng = _stream(draft)
        _, facts = TYPES[draft.key].build(rng)
        part = _part(draft, facts, np.random.default_rng([SEED, draft.number, 1]), taken)
        taken.add(part.part_no)
        rows.append((draft, part))
    return rows


def _drafts() -> list[_Draft]:
    rng = np.random.default_rng(SEED)
    total = sum(name.weight for name in NAMES.values())
    drafts: list[_Draft] = []
    for key in TYPES:
        count = max(2, round(PARTS * NAMES[key].weight / total))
        by_split: dict[str, list[str]] = {}
        for surface, its_split in combinations()[key].items():
            by_split.setdefault(its_split, []).append(surface)
        for _ in range(count):
            split = str(rng.choice(list(by_split), p=_shares(list(by_split))))
            surface = str(rng.choice(by_split[split]))
            drafts.append(_Draft(len(drafts), key, surface, split))
    return drafts


def _shares(splits: list[str]) -> list[float]:
    shares = [_SHARES[split] for split in splits]
    return [share / sum(shares) for share in shares]


def _stream(draft: _Draft) -> Generator:
    return np.random.default_rng([SEED, draft.number])


def _part(draft: _Draft, facts: Facts, rng: Generator, taken: set[str]) -> Part:
    name, made = NAMES[draft.key], SURFACES[draft.surface]
    size, code, diameter, length = _size(draft.key, facts, rng)
    full = description(draft.key, draft.surface, facts, size)
    number = f"{name.code}-{code}-{made.code}"
    unique = next(n for n in (number, *(f"{number}{c}" for c in "BCDEFGHJKLMNP")) if n not in taken)
    volume = diameter * (length or 8) / 320
    price = _BASE_PRICE[name.family] * made.price * (0.45 + volume**0.7) * float(rng.uniform(0.9, 1.1))
    finish = "" if made.finish == "plain" else f", {made.finish}"
    finish_ja = "" if made.finish == "plain" else f" {FINISH_JA[made.finish]}"
    return Part(
        part_no=unique,
        name=f"{name.english[0].upper()}{name.english[1:]}, {made.material}{finish}",
        name_ja=f"{name.japanese}{finish_ja}",
        description=full[0],
        description_ja=full[1],
        family=name.family,
        shape=name.shape,
        head=name.head,
        drive=name.drive,
        material=made.material,
        finish=made.finish,
        size=size,
        length_mm=length,
        diameter_mm=diameter,
        holes=int(facts["holes"]) if facts.get("holes") else None,
        teeth=int(facts["teeth"]) if facts.get("teeth") else None,
        price=round(price, 2),
        image=f"images/{unique}_1.jpg",
        image_2=f"images/{unique}_2.jpg",
        split=draft.split,
    )


def _size(key: str, facts: Facts, rng: Generator) -> tuple[str, str, int, int | None]:
    """A plausible size for the drawn proportions: text, its part number code, diameter, length in mm."""
    family = NAMES[key].family
    if family == "pipe fittings":
        text, diameter = _PIPES[int(rng.integers(len(_PIPES)))]
        return text, str(diameter), diameter, None
    if family == "fasteners":
        diameter = int(rng.choice(_DIAMETERS))
        if "length" not in facts:
            return f"M{diameter}", f"M{diameter}", diameter, None
        wanted = diameter * float(facts["length"]) / 0.5  # shanks are modelled half a unit thick
        length = min(_LENGTHS, key=lambda mm: abs(mm - wanted))
        return f"M{diameter} x {length}", f"M{diameter}x{length}", diameter, length
    diameter = int(rng.choice(_SIZES))
    if facts.get("teeth"):
        return f"Ø{diameter}", f"Z{facts['teeth']}-{diameter}", diameter, None
    return (
        f"Ø{diameter}" if family == "power transmission" else f"{diameter} mm",
        str(diameter),
        diameter,
        None,
    )


def _photographed(job: tuple[_Draft, Part, Path]) -> None:
    """Render and save both pictures of a part."""
    from clipsearch import images

    draft, part, out = job
    rng = _stream(draft)
    shape, _ = TYPES[draft.key].build(rng)
    for name in (part.image, part.image_2):
        buffer = photograph(draft.key, shape, rng, size=2 * SIZE)
        images.save_jpeg(develop(buffer, draft.surface, rng, size=SIZE), out / name, quality=QUALITY)
