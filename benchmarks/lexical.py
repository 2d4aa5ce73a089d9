"""The lexical channel alone: does it find the part, what each kind of token is for, and what it costs.

    python benchmarks/lexical.py                     (about 3 min)
    python benchmarks/lexical.py --points 0          without the 100,000 records in the engine

Queries are made of the catalogue's own rows, one of each kind for each row. Right are all rows with the same
values in the columns that the query was made of: one row for a part number, often several for a name. R@1:
the first hit is right; R@10: one of ten is; MRR: the mean of 1 / the first right hit's rank. Scored as the
engine scores (checked on the engine itself for 100 queries), ties broken by the row's number.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from clipsearch import lexical, store
from clipsearch.lexical.records import has_words
from clipsearch.lexical.words import levels
from clipsearch.settings import Settings
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint, Payload, PayloadValue, Point

DEMO = Path(__file__).parents[1] / "clipsearch/demo/data/parts.csv"
DIY = Path(__file__).parents[2] / "shared/data/diy_catalogue/products.csv"
DIM = 8
LEVELS = ("whole", "run", "part", "side", "atom", "joined", "pair", "katakana", "kanji")
WHOLE_NUMBERS, NUMBERS = ("length_mm", "diameter_mm", "holes", "teeth"), ("price",)
NOT_COLUMNS = ("image", "image_2", "split")

Row = dict[str, str]
Query = tuple[str, frozenset[int]]  # what is typed, and the rows that are right
Cut = Callable[[str], list[str]]


def main() -> None:
    """Measure and print."""
    options = _options()
    for name, path in (("demo", DEMO), ("DIY", DIY)):
        if path.is_file():
            _catalogue(name, path)
    _cost()
    if options.points:
        _in_engine(options.points)


# --- what is found -------------------------------------------------------------------------------------


def _catalogue(name: str, path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = _kinds(rows)
    payloads = [_payload(row, kinds) for row in rows]
    asked = _queries(rows)
    cuts: dict[str, Cut] = {"all tokens": lexical.tokens}
    cuts |= {f"without {level}": _without(level) for level in LEVELS}
    cuts |= {"+ neighbours": _neighbours, "spaces": lambda t: t.casefold().split()}
    indexes = {title: _Index(payloads, kinds, cut) for title, cut in cuts.items()}
    print(f"\n{name}: {len(rows)} records, {len(rows)} queries of each kind")
    print(f"{'query':20}{'for example':44}{'R@1':>7}{'R@10':>7}{'MRR':>7}   words between spaces, R@1")
    for kind, queries in asked.items():
        first, ten, mrr = _figures(indexes["all tokens"], queries)
        plain, _, _ = _figures(indexes["spaces"], queries)
        print(f"{kind:20}{queries[7][0]:44}{first:7.3f}{ten:7.3f}{mrr:7.3f}   {plain:.3f}")
    print(f"\nMRR by what is left out or added\n{'':20}" + "".join(f"{kind[:13]:>14}" for kind in asked))
    for title, index in indexes.items():
        print(f"{title:20}" + "".join(f"{_figures(index, q)[2]:14.3f}" for q in asked.values()))


def _without(level: str) -> Cut:
    return lambda text: [token for found, token in levels(text) if found != level]


def _neighbours(text: str) -> list[str]:
    """The tokens, and each two parts that are neighbours, in one."""
    found = list(levels(text))
    parts = [token for level, token in found if level in ("part", "word")]
    return [token for _, token in found] + [f"{a} {b}" for a, b in pairwise(parts)]


class _Index:
    """Records in memory, scored as the engine does it."""

    def __init__(self, payloads: Sequence[Payload], kinds: Mapping[str, FieldKind], cut: Cut) -> None:
        self._cut, self._n = cut, len(payloads)
        self._rows: dict[int, list[tuple[int, float]]] = {}
        for row, payload in enumerate(payloads):
            texts = [text for text in lexical.record_words(payload, kinds) if has_words(text)]
            vector = lexical.document_vector([cut(text) for text in texts])
            for index, value in zip(vector.indices, vector.values, strict=True):
                self._rows.setdefault(index, []).append((row, value))

    def ranked(self, text: str) -> list[int]:
        """Rows by falling score; those without any of the words are left out."""
        scores: dict[int, float] = {}
        query = lexical.query_vector(self._cut(text))
        for index, weight in zip(query.indices, query.values, strict=True):
            there = self._rows.get(index, [])
            idf = math.log((self._n - len(there) + 0.5) / (len(there) + 0.5) + 1)  # Qdrant's
            for row, value in there:
                scores[row] = scores.get(row, 0.0) + weight * value * idf
        return sorted(scores, key=lambda row: (-round(scores[row], 5), row))


def _figures(index: _Index, queries: Sequence[Query]) -> tuple[float, float, float]:
    ranks = [
        next((rank for rank, row in enumerate(index.ranked(text), 1) if row in right), math.inf)
        for text, right in queries
    ]
    n = len(ranks)
    return sum(r == 1 for r in ranks) / n, sum(r <= 10 for r in ranks) / n, sum(1 / r for r in ranks) / n


# --- what is asked -------------------------------------------------------------------------------------


def _queries(rows: Sequence[Row]) -> dict[str, list[Query]]:
    rng = random.Random(0)
    made: dict[str, tuple[Callable[[Row], str], tuple[str, ...]]] = {
        "name": (lambda r: r["name"], ("name",)),
        "shuffled": (lambda r: _shuffled(r["name"], rng), ("name",)),
        "plurals": (
            lambda r: re.sub(r"(bolt|nut|screw|gear|bracket|pin|tee)\b", r"\1s", r["name"]),
            ("name",),
        ),
    }
    if "part_no" in rows[0]:
        made |= _part_queries(rng)
    else:
        made["two words"] = (lambda r: " ".join(_shuffled(r["name"], rng).split()[:2]), ("name",))
    by_value: dict[tuple[str, ...], set[int]] = {}
    for i, row in enumerate(rows):
        row["rest"] = row.get("part_no", "").partition("-")[2]
        for columns in {columns for _, columns in made.values()}:
            by_value.setdefault((*columns, *(row[c] for c in columns)), set()).add(i)
    return {
        kind: [(make(row), frozenset(by_value[(*columns, *(row[c] for c in columns))])) for row in rows]
        for kind, (make, columns) in made.items()
    }


def _part_queries(rng: random.Random) -> dict[str, tuple[Callable[[Row], str], tuple[str, ...]]]:
    return {
        "name + size": (lambda r: f"{r['name']} {_respelled(r['size'])}", ("name", "size")),
        "shape + size": (lambda r: f"{r['shape']} {_respelled(r['size'])}", ("shape", "size")),
        "part_no": (lambda r: r["part_no"].lower(), ("part_no",)),
        "no hyphens": (lambda r: r["part_no"].replace("-", ""), ("part_no",)),
        "spaces for hyphens": (lambda r: r["part_no"].replace("-", " "), ("part_no",)),
        "part_no's rest": (lambda r: r["part_no"].partition("-")[2], ("rest",)),
        "name_ja": (lambda r: r["name_ja"], ("name_ja",)),
        "ja in one": (lambda r: "".join(reversed(r["name_ja"].split())), ("name_ja",)),
        "ja full width": (lambda r: _wide(f"{r['name_ja']} {r['size']}"), ("name_ja", "size")),
        "ja + size": (lambda r: f"{_respelled(r['size'])}{r['name_ja'].split()[0]}", ("shape", "size")),
        "ja shuffled": (lambda r: " ".join(rng.sample(w := r["name_ja"].split(), len(w))), ("name_ja",)),
    }


def _shuffled(text: str, rng: random.Random) -> str:
    words = re.findall(r"[\w/\"]+", text)
    return " ".join(rng.sample(words, len(words)))


def _respelled(size: str) -> str:
    """A size as another person writes it."""
    return size.replace(" x ", "×").replace(" mm", "mm").replace("Ø", "φ").replace('"', "″")


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _kinds(rows: Sequence[Row]) -> dict[str, FieldKind]:
    kinds: dict[str, FieldKind] = {name: "keyword" for name in rows[0] if name not in NOT_COLUMNS}
    kinds |= {name: "text" for name in kinds if name.startswith("description")}
    kinds |= {name: "integer" for name in WHOLE_NUMBERS if name in kinds}
    return kinds | {name: "float" for name in NUMBERS if name in kinds}


def _payload(row: Row, kinds: Mapping[str, FieldKind]) -> Payload:
    read: Mapping[str, Callable[[str], PayloadValue]] = {"integer": int, "float": float}
    values = {name: read.get(kinds[name], str)(row[name]) for name in kinds if row[name]}
    return {"_key": row.get("part_no") or row["image"], **values}


# --- what it costs -------------------------------------------------------------------------------------


def _cost() -> None:
    """Of upsert's part: wording and vector of a record."""
    print("\nprocessor time for one record's wording and vector")
    with DEMO.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = _kinds(rows)
    short = [_numbered(i) for i in range(50_000)]
    for what, payloads, fields in (
        ("path, two labels, a note of four words, all different", short, SHORT),
        ("a row of the demo: twelve texts in two languages", [_payload(r, kinds) for r in rows], kinds),
    ):
        began = time.process_time()
        n_tokens = sum(len(lexical.words_of(payload, fields)[1].indices) for payload in payloads)
        spent = (time.process_time() - began) / len(payloads)
        print(f"{what:60}{spent * 1e6:6.1f} us, {n_tokens / len(payloads):.0f} different tokens")


SHORT: Mapping[str, FieldKind] = {"material": "keyword", "shape": "keyword", "note": "text"}


def _numbered(i: int) -> Payload:
    return {
        "_key": f"parts/{i}.jpg",
        "material": f"m{i % 10}",
        "shape": f"s{i % 37}",
        "note": f"{('hex', 'flange', '六角')[i % 3]} bolt number {i}",
    }


# --- in the engine -------------------------------------------------------------------------------------


def _in_engine(n: int) -> None:
    with DEMO.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = _kinds(rows)
    payloads = [_payload(row, kinds) for row in rows]
    for count in (len(rows), n):
        many = [_varied(payloads[i % len(rows)], i) if i >= len(rows) else payloads[i] for i in range(count)]
        with tempfile.TemporaryDirectory() as folder:
            _measured(many, kinds, Settings(data=Path(folder), cache=Path(folder), collection="x"), rows)


def _measured(
    payloads: Sequence[Payload], kinds: Mapping[str, FieldKind], settings: Settings, rows: list[Row]
) -> None:
    rng = np.random.default_rng(0)
    fingerprint = Fingerprint("random", "", "", "", "", DIM)
    with store.create("x", CollectionSpec(fingerprint, dict(kinds)), settings) as collection:
        began = time.perf_counter()
        for start in range(0, len(payloads), 2000):
            some = payloads[start : start + 2000]
            vectors = rng.normal(size=(len(some), DIM)).astype(np.float32)
            collection.upsert(
                Point(str(uuid.UUID(int=start + i)), {"image": vectors[i]}, payload)
                for i, payload in enumerate(some)
            )
        print(f"\n{len(payloads):,} records in the engine ({(time.perf_counter() - began):.0f} s)")
        for kind, queries in _queries(rows).items():
            some_queries = random.Random(1).sample(queries, 100)
            took, first = [], 0
            for text, right in some_queries:
                began = time.perf_counter()
                hits = collection.search_sparse(lexical.query_vector(lexical.tokens(text)), limit=10)
                took.append((time.perf_counter() - began) * 1000)
                first += bool(hits) and uuid.UUID(hits[0].id).int in right
            p50, p95 = np.percentile(took, [50, 95])
            print(f"{kind:20} p50 {p50:6.2f} ms, p95 {p95:6.2f} ms; first hit right {first / 100:.2f}")


def _varied(payload: Payload, i: int) -> Payload:
    """Another part of the same words: other number, other length."""
    number = f"{payload['part_no']}-{i}"
    return {**payload, "_key": number, "part_no": number}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=100_000, help="records in the engine; 0: none")
    return parser.parse_args()


if __name__ == "__main__":
    main()
