from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from clipsearch import store
from clipsearch.duplicates import Group, compare, find_duplicates, look_at
from clipsearch.duplicates import finding as finding_module
from clipsearch.duplicates.bars import bars_of
from clipsearch.duplicates.nearest import NEIGHBOURS, Neighbours, by_product
from clipsearch.duplicates.vectors import Vectors
from clipsearch.settings import Settings
from clipsearch.types import CollectionSpec, Fingerprint, Match, Payload, Point

DIM = 64
Run = Callable[..., subprocess.CompletedProcess[str]]


def photo(seed: int, size: tuple[int, int] = (480, 360)) -> Image.Image:
    """A picture with shapes and colours of its own, smooth as photographs are."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def near(vector: np.ndarray, cosine: float, seed: int) -> np.ndarray:
    """A unit vector with this cosine to the given one."""
    other = np.random.default_rng(seed).normal(size=vector.shape)
    other = unit(other - (other @ vector) * vector)
    return unit(cosine * vector + np.sqrt(1 - cosine**2) * other)


class Shelf:
    """A real embedded collection with vectors of one's own choice."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=folder / "data", cache=folder / "cache")
        spec = CollectionSpec(Fingerprint("random", "", "", "", "", DIM), {"shelf": "keyword"})
        self.store = store.create("t", spec, self.settings)
        self._rng = np.random.default_rng(7)

    def background(self, n: int = 60) -> None:
        for i in range(n):
            self.add(f"background-{i}", unit(self._rng.normal(size=DIM)), sha256=f"{i:064x}")

    def add(self, key: str, vector: np.ndarray, *, path: str = "", sha256: str = "", **more: object) -> None:
        payload: Payload = {"_key": key, "_path": path or f"/nowhere/{key}.jpg", **more}  # type: ignore[dict-item]
        if sha256:
            payload = {**payload, "_sha256": sha256}
        self.store.upsert([Point(str(uuid.uuid5(uuid.NAMESPACE_URL, key)), {"image": vector}, payload)])


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.store.close()


def keys(group: Group) -> tuple[str, list[str]]:
    return group.keep.key, sorted(member.record.key for member in group.others)


# --- looking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda im: jpeg(im, 30),
        lambda im: jpeg(im.resize((144, 108), Image.Resampling.LANCZOS), 60),
        lambda im: jpeg(im.resize((960, 720))),
        lambda im: jpeg(im.crop((14, 11, 466, 349))),
        lambda im: jpeg(im.crop((0, 18, 456, 360))),
        lambda im: jpeg(ImageEnhance.Brightness(im).enhance(0.85)),
        lambda im: jpeg(ImageEnhance.Contrast(im).enhance(1.1)),
    ],
    ids=["JPEG 30", "smaller", "larger", "cropped 3 %", "cropped on two sides", "darker", "more contrast"],
)
def test_the_same_picture_is_told_however_it_was_saved(change: Callable[[Image.Image], bytes]) -> None:
    for seed in range(5):
        image = photo(seed)
        assert compare(look_at(jpeg(image, 95)), look_at(change(image))).same, seed


@pytest.mark.parametrize(
    "change",
    [
        lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda im: im.rotate(90, expand=True),
        lambda im: im.convert("L").convert("RGB"),
        lambda im: im.crop((0, 0, 340, 255)),
        lambda im: Image.merge("RGB", im.split()[::-1]),
    ],
    ids=["mirrored", "turned", "without colour", "a part of it", "other colours"],
)
def test_a_changed_picture_is_another(change: Callable[[Image.Image], Image.Image]) -> None:
    for seed in range(5):
        image = photo(seed)
        assert not compare(look_at(jpeg(image)), look_at(jpeg(change(image)))).same, seed


def test_a_spot_that_differs_makes_another_picture() -> None:
    for seed in range(5):
        image = photo(seed)
        spotted = image.copy()
        colour = (250, 250, 250) if np.asarray(image)[150, 210].mean() < 128 else (5, 5, 5)
        spotted.paste(colour, (190, 130, 240, 180))
        assert not compare(look_at(jpeg(image)), look_at(jpeg(spotted))).same, seed


def test_phone_pictures_are_compared_upright(shared_data: Path) -> None:
    folder = shared_data / "torture" / "exif_orientation"
    for name in ("Landscape", "Portrait"):
        first = look_at(folder / f"{name}_1.jpg")
        assert all(compare(first, look_at(folder / f"{name}_{i}.jpg")).same for i in range(2, 9)), name
    assert not compare(look_at(folder / "Landscape_1.jpg"), look_at(folder / "Portrait_1.jpg")).same


# --- neighbours -------------------------------------------------------------------------------


def test_the_product_by_blocks_finds_what_one_product_finds(tmp_path: Path) -> None:
    rows = unit(np.random.default_rng(1).normal(size=(2500, 8)))
    with Vectors(8, tmp_path) as vectors:
        for start in range(0, len(rows), 333):
            vectors.add(rows[start : start + 333])
        told: list[int] = []
        found = by_product(vectors, 0.97, told.append)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    for row in range(0, 2500, 97):
        assert {other for other, _ in found.of(row)} == set(np.flatnonzero(cosines[row] >= 0.97).tolist())
        assert [c for _, c in found.of(row)] == sorted((c for _, c in found.of(row)), reverse=True)
    assert told[-1] == 2500


def test_a_row_keeps_only_its_nearest_neighbours() -> None:
    found = Neighbours()
    n = 3 * NEIGHBOURS
    rows, columns = np.triu_indices(n, 1)
    found.add(rows, columns, (1 - np.abs(rows - columns) / 1000).astype(np.float32))
    assert [other for other, _ in found.of(0)] == list(range(1, NEIGHBOURS + 1))
    assert found.components() == [list(range(n))]


def test_the_engine_finds_what_the_product_finds(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.background()
    centre = unit(np.random.default_rng(3).normal(size=DIM))
    for i in range(50):  # more than the engine is asked for at first
        shelf.add(f"burst-{i:02}", near(centre, 0.999, i))
    shelf.add("copy", unit(np.ones(DIM)), sha256="ab" * 32)
    shelf.add("copy too", unit(np.ones(DIM)), sha256="ab" * 32)
    product = [keys(group) for group in find_duplicates(shelf.store, level="scene")]
    monkeypatch.setattr(finding_module, "_GRAPH_FROM", 0)
    monkeypatch.setattr(finding_module, "_has_graph", lambda _store: True)
    assert [keys(group) for group in find_duplicates(shelf.store, level="scene")] == product
    assert [len(others) for _, others in product] == [49, 1]


def test_bars_follow_the_collection() -> None:
    rng = np.random.default_rng(0)
    apart = bars_of(unit(rng.normal(size=(200, 64))))
    alike = bars_of(unit(rng.normal(size=(200, 64)) * 0.3 + 1))
    assert abs(apart.background) < 0.05
    assert alike.background > 0.8
    assert apart.look < alike.look < alike.scene < alike.sure < 1


# --- groups -----------------------------------------------------------------------------------


def test_equal_bytes_are_told_without_pictures_or_vectors(shelf: Shelf) -> None:
    for i, key in enumerate(("a", "b", "c", "d")):
        vector = unit(np.random.default_rng(i).normal(size=DIM))
        shelf.add(key, vector, sha256="ab" * 32 if key != "d" else "cd" * 32, _width=10 + i, _height=10)
    shelf.add("nameless", unit(np.ones(DIM)))
    shelf.add("nameless too", unit(np.ones(DIM)))
    found = find_duplicates(shelf.store, level="bytes")
    assert [keys(group) for group in found] == [("c", ["a", "b"])]
    assert found.n_records == 6


def test_a_chain_is_not_one_group(shelf: Shelf) -> None:
    shelf.background()
    axis = unit(np.eye(DIM)[0])
    other = unit(np.eye(DIM)[1])
    for i, key in enumerate("abc"):  # a-b and b-c are alike (.96), a-c are not (.86)
        turn = np.deg2rad(15 * i)
        vector = unit(np.cos(turn) * axis + np.sin(turn) * other)
        shelf.add(key, vector, _width=100 - i, _height=100)
    groups = [keys(g) for g in find_duplicates(shelf.store, level="scene", threshold=0.95)]
    assert groups == [("a", ["b"])]


def test_unread_pictures_need_all_but_equal_vectors(shelf: Shelf) -> None:
    shelf.background()
    vector = unit(np.random.default_rng(3).normal(size=DIM))
    shelf.add("original", vector, _width=100, _height=100)
    shelf.add("twin", near(vector, 0.9999, 1), _width=50, _height=50)
    shelf.add("cousin", near(vector, 0.97, 2), _width=50, _height=50)
    found = find_duplicates(shelf.store)
    groups = list(found)
    assert [keys(group) for group in groups] == [("original", ["twin"])]
    assert groups[0].others[0].reason == "vector"
    assert found.n_unread == 3


def test_a_look_decides_where_vectors_cannot(shelf: Shelf, tmp_path: Path) -> None:
    shelf.background()
    vector = unit(np.random.default_rng(3).normal(size=DIM))
    pictures = {
        "original": (jpeg(photo(1), 95), 1.0),
        "recompressed": (jpeg(photo(1), 40), 0.95),
        "another": (jpeg(photo(2)), 0.999),
    }
    for i, (key, (data, cosine)) in enumerate(pictures.items()):
        (tmp_path / key).write_bytes(data)
        shelf.add(key, near(vector, cosine, i), path=str(tmp_path / key), _width=480, _height=360)
    groups = list(find_duplicates(shelf.store))
    assert [keys(group) for group in groups] == [("original", ["recompressed"])]
    assert groups[0].keep_because == "least compressed"
    assert groups[0].others[0].reason == "picture"
    scenes = [keys(group) for group in find_duplicates(shelf.store, level="scene")]
    assert scenes == [("original", ["another", "recompressed"])]


def test_pictures_may_come_from_a_reader(shelf: Shelf) -> None:
    shelf.background()
    vector = unit(np.random.default_rng(3).normal(size=DIM))
    shown = {"a.zip/1": jpeg(photo(1), 95), "a.zip/2": jpeg(photo(1), 50)}
    for i, path in enumerate(shown):
        shelf.add(path, near(vector, 0.96, i), path=path, _width=480, _height=360)
    (group,) = find_duplicates(shelf.store, read=shown.get)
    assert keys(group) == ("a.zip/1", ["a.zip/2"])
    assert group.keep.n_bytes == len(shown["a.zip/1"])


def test_most_pixels_then_least_compressed_then_oldest_then_shortest_path_is_kept(
    shelf: Shelf, tmp_path: Path
) -> None:
    vector = unit(np.ones(DIM))

    def put(name: str, n_bytes: int, side: int, age: int) -> None:
        (tmp_path / name).write_bytes(b"x" * n_bytes)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
        shelf.add(name, vector, path=str(tmp_path / name), sha256="ab" * 32, _width=side, _height=side)

    put("long-name", 10, 50, 5)
    put("name", 10, 50, 5)
    for name, n_bytes, side, age, why in (
        ("", 0, 0, 0, "shortest path"),
        ("old", 10, 50, 9, "oldest"),
        ("heavy", 20, 50, 0, "least compressed"),
        ("wide", 5, 60, 0, "most pixels"),
    ):
        if name:
            put(name, n_bytes, side, age)
        (group,) = find_duplicates(shelf.store, level="bytes")
        assert (group.keep.key, group.keep_because) == (name or "name", why)


def test_a_file_that_two_records_share_is_never_superfluous(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "one.jpg")
    shutil.copy(tmp_path / "one.jpg", tmp_path / "two.jpg")
    os.utime(tmp_path / "two.jpg", (2e9, 2e9))
    for number, name in enumerate(("one.jpg", "one.jpg", "link.jpg", "two.jpg", "two.jpg")):
        key = f"part-{number}"
        shelf.add(key, unit(np.ones(DIM)), path=str(tmp_path / name), sha256="ab" * 32)
    (group,) = find_duplicates(shelf.store, level="bytes")
    assert group.keep.path.endswith("one.jpg")
    assert [record.path for record in group.superfluous] == [str(tmp_path / "two.jpg")]
    assert [member.reason for member in group.others].count("file") == 2


def test_a_filter_and_what_is_gone_are_left_out(shelf: Shelf) -> None:
    for key, on in (("a", "x"), ("b", "x"), ("c", "y")):
        shelf.add(key, unit(np.ones(DIM)), sha256="ab" * 32, shelf=on)
    found = find_duplicates(shelf.store, level="bytes", filter=Match("shelf", ("x",)))
    assert [keys(group) for group in found] == [("a", ["b"])]
    late = find_duplicates(shelf.store, level="bytes")
    shelf.store.delete([str(uuid.uuid5(uuid.NAMESPACE_URL, "a"))])
    assert [keys(group) for group in late] == [("b", ["c"])]


def test_an_empty_collection_has_no_duplicates(shelf: Shelf) -> None:
    for level in ("bytes", "picture", "scene"):
        assert list(find_duplicates(shelf.store, level=level)) == []


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def indexed(tmp_path: Path, tiny: Path, cache: Path, run_cli: Run) -> Path:
    """A folder of five pictures, two of them again, indexed with the tiny model."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(5):
        (folder / f"{seed}.jpg").write_bytes(jpeg(photo(seed), 95))
    shutil.copy(folder / "0.jpg", folder / "0 コピー.jpg")
    os.utime(folder / "0 コピー.jpg", (2e9, 2e9))
    (folder / "1-small.jpg").write_bytes(jpeg(photo(1).resize((240, 180), Image.Resampling.LANCZOS)))
    model = f"local-dir:{tiny}"
    done = run_cli("index", str(folder), "-c", "t", "--model", model, CLIPSEARCH_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    return folder


def test_the_command_lists_groups_and_deletes_nothing(indexed: Path, run_cli: Run) -> None:
    before = sorted(indexed.iterdir())
    done = run_cli("dupes", "t", "--threshold", "0.5")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert {(row[1], row[2]) for row in rows} == {
        ("keep", "0.jpg"),
        ("superfluous", "0 コピー.jpg"),
        ("keep", "1.jpg"),
        ("superfluous", "1-small.jpg"),
    }
    assert "2 groups among 7 pictures" in done.stderr
    assert "Nothing was deleted" in done.stderr
    assert sorted(indexed.iterdir()) == before


def test_the_command_writes_for_other_programs(indexed: Path, tmp_path: Path, run_cli: Run) -> None:
    options = ("dupes", "t", "--threshold", "0.5")
    everything = json.loads(run_cli(*options, "--json").stdout)
    assert everything["records"] == 7
    assert len(everything["groups"]) == 2
    lines = [json.loads(line) for line in run_cli(*options, "--jsonl").stdout.splitlines()]
    assert lines == everything["groups"]
    paths = run_cli(*options, "--paths", "-0").stdout.split("\0")
    assert sorted(paths[:-1]) == sorted([str(indexed / "0 コピー.jpg"), str(indexed / "1-small.jpg")])
    assert run_cli(*options, "--csv").stdout.splitlines()[0].startswith("group,what,key,path")
    done = run_cli(*options, "--limit", "1", "--sheet", str(tmp_path / "sheet.png"))
    assert len({line.split("\t")[0] for line in done.stdout.splitlines()}) == 1
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > sheet.height


def test_the_command_refuses_what_does_not_go_together(run_cli: Run) -> None:
    assert run_cli("dupes", "--json", "--paths").returncode == 2
    assert run_cli("dupes", "-0").returncode == 2
    assert run_cli("dupes", "a", "-c", "b").returncode == 2
    assert "no collection 'nowhere'" in run_cli("dupes", "nowhere").stderr
