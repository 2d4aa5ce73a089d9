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
from clipsearch.demo.sizes import Size, draw_size
from clipsearch.demo.studio import develop, photograph
from clipsearch.demo.words import NAMES
from clipsearch.demo.words.materials import FINISH_JA, MATERIAL_JA

SEED = 20_310  # no seed of a training set
PARTS = 600
SIZE = 200  # pixels
QUALITY = 76  # of the JPEGs: 1,200 of them stay under 6 MB
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
    diameter_mm: int | None
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
    """Drafts with their parts."""
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
    number, size = _number(draft, facts, rng, taken)
    english, japanese = description(draft.key, draft.surface, facts, size.text)
    price = _BASE_PRICE[name.family] * made.price * (0.45 + size.bulk**0.7) * float(rng.uniform(0.9, 1.1))
    finish = "" if made.finish == "plain" else f", {made.finish}"
    finish_ja = "" if made.finish == "plain" else f" {FINISH_JA[made.finish]}"
    return Part(
        part_no=number,
        name=f"{name.english[0].upper()}{name.english[1:]}, {made.material}{finish}",
        name_ja=f"{name.japanese} {MATERIAL_JA[made.material]}{finish_ja}",
        description=english,
        description_ja=japanese,
        family=name.family,
        shape=name.shape,
        head=name.head,
        drive=name.drive,
        material=made.material,
        finish=made.finish,
        size=size.text,
        length_mm=size.length_mm,
        diameter_mm=size.diameter_mm,
        holes=int(facts["holes"]) if facts.get("holes") else None,
        teeth=int(facts["teeth"]) if facts.get("teeth") else None,
        price=round(price, 2),
        image=f"images/{number}_1.jpg",
        image_2=f"images/{number}_2.jpg",
        split=draft.split,
    )


def _number(draft: _Draft, facts: Facts, rng: Generator, taken: set[str]) -> tuple[str, Size]:
    """A part number that no part has yet, and the size in it: where one is taken, another size is drawn."""
    for _ in range(100):
        size = draw_size(draft.key, facts, rng)
        number = f"{NAMES[draft.key].code}-{size.code}-{SURFACES[draft.surface].code}"
        if number not in taken:
            return number, size
    raise ValueError(f"{draft.key} in {draft.surface} comes in too few sizes for {PARTS} parts; add some")


def _photographed(job: tuple[_Draft, Part, Path]) -> None:
    """Render and save both pictures of a part."""
    from clipsearch import images

    draft, part, out = job
    rng = _stream(draft)
    shape, _ = TYPES[draft.key].build(rng)
    for name in (part.image, part.image_2):
        buffer = photograph(draft.key, shape, rng, size=2 * SIZE)
        images.save_jpeg(develop(buffer, draft.surface, rng, size=SIZE), out / name, quality=QUALITY)
