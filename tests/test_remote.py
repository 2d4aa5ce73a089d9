"""Pictures below a prefix of a store, with fsspec's own stores in memory and on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from tiny_models import make_clip

from clipsearch import images
from clipsearch.errors import ImageError, SourceError
from clipsearch.settings import Settings
from indexer.options import RunOptions
from indexer.run import run
from indexer.sources import Source, SourceOptions, open_sources
from indexer.sources.remote import _stamp, open_remote, read_stored


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def jpeg(tmp_path: Path, value: int) -> bytes:
    path = tmp_path / "made.jpg"
    images.save_jpeg(np.full((16, 24, 3), value, np.uint8), path)
    return path.read_bytes()


def opened(location: str, **options: object) -> Source:
    return open_remote(location, SourceOptions(**options))  # type: ignore[arg-type]


def keys(location: str, **options: object) -> list[str]:
    return [file.key for file in opened(location, **options).files()]


def test_a_prefix_gives_its_pictures_in_order_and_passes_over_junk(memory: fsspec.AbstractFileSystem) -> None:
    for name in ("b/2.JPG", "b/10.jpg", "a.png", "z.jpg", "notes.txt", ".hidden/x.jpg", "@eaDir/a.jpg"):
        memory.pipe_file(f"/bucket/photos/{name}", b"x")
    source = opened("memory://bucket/photos/")
    assert source.n_files is None, "how many there are is known when they are listed"
    assert [file.key for file in source.files()] == ["a.png", "z.jpg", "b/10.jpg", "b/2.JPG"]
    assert (source.name, source.n_files, source.n_other, source.complete) == (
        "memory://bucket/photos",
        4,
        1,
        True,
    )
    assert source.n_readers == 16
    assert ".hidden/x.jpg" in keys("memory://bucket/photos", hidden=True)
    assert keys("memory://bucket/photos", exclude=("b/",)) == ["a.png", "z.jpg"]
    assert keys("memory://bucket/photos", include=("*.jpg",)) == ["z.jpg", "b/10.jpg"]


def test_a_picture_is_read_when_its_turn_comes(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/a.jpg", b"picture")
    (file,) = opened("memory://bucket").files()
    assert (file.path, file.n_bytes) == ("memory://bucket/a.jpg", 7)
    assert file.mtime_ns > 0
    assert file.read is not None
    assert file.read() == b"picture"
    memory.rm("/bucket/a.jpg")
    with pytest.raises(ImageError, match=r"memory://bucket/a.jpg: there is nothing there") as caught:
        file.read()
    assert caught.value.reason == "unreachable"


def test_one_picture_has_the_id_it_has_below_its_prefix(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/photos/a.jpg", b"picture")
    alone, below = opened("memory://bucket/photos/a.jpg"), opened("memory://bucket/photos")
    assert list(alone.files()) == list(below.files())
    assert not alone.complete


def test_more_than_may_come_is_refused_before_it_is_read(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/a.jpg", b"x" * 1001)
    (file,) = opened("memory://bucket", max_bytes=1000).files()
    assert file.read is not None
    with pytest.raises(ImageError, match="1,001 bytes, over the bound of 1,000"):
        file.read()


def test_an_object_of_unknown_size_is_looked_at_before_it_is_read(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/a.jpg", b"x" * 1001)
    assert len(read_stored("memory://bucket/a.jpg", 1001)) == 1001
    with pytest.raises(ImageError, match="1,001 bytes, over the bound of 1,000"):
        read_stored("memory://bucket/a.jpg", 1000)


def test_where_nothing_is_is_said(memory: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(SourceError, match="there is nothing at memory://nowhere/x"):
        opened("memory://nowhere/x")
    with pytest.raises(SourceError, match=r"cannot be opened: .*nonsense"):
        opened("nonsense://bucket/x")
    with pytest.raises(SourceError, match="address in an address"):
        opened("zip://a.jpg::memory://bucket/x.zip")


@pytest.mark.skipif("s3fs" in sys.modules, reason="needs an environment without s3fs")
def test_a_missing_driver_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SourceError, match=r'pip install "clipsearch\[s3\]"'):
        opened("s3://bucket/photos")
    with pytest.raises(SourceError, match=r'pip install "clipsearch\[gcs\]"'):
        opened("gs://bucket/photos")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(SourceError, match=r'pip install "clipsearch\[remote\]"'):
        opened("memory://bucket")


def test_a_folder_that_cannot_be_listed_is_told_and_makes_the_source_incomplete(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/bucket/a/1.jpg", b"x")
    memory.pipe_file("/bucket/b/2.jpg", b"x")
    real = type(memory).ls

    def ls(self: object, path: str, detail: bool = True, **more: object) -> object:
        if path.endswith("/a"):
            raise PermissionError("https://user:geheim@host says no")
        return real(memory, path, detail=detail, **more)

    monkeypatch.setattr(type(memory), "ls", ls)
    source = opened("memory://bucket")
    assert [file.key for file in source.files()] == ["b/2.jpg"]
    assert not source.complete
    assert "memory://bucket/a: https://host says no could not be listed" in source.notes[0]


def test_a_table_or_an_archive_elsewhere_says_what_to_do(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/parts.parquet", b"x")
    with pytest.raises(SourceError, match="Copy it here"):
        opened("memory://bucket/parts.parquet")
    with pytest.raises(SourceError, match="Copy it here"):
        opened("https://example.org/photos.zip?token=1")


def test_folders_of_this_machine_can_be_addresses(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("x.jpg", "deep/y.jpg"):
        (tmp_path / name).write_bytes(b"picture")
    os.utime(tmp_path / "x.jpg", ns=(0, 1_700_000_000_000_000_000))
    files = list(opened(f"file://{tmp_path}").files())
    assert [file.key for file in files] == ["x.jpg", "deep/y.jpg"]
    assert files[0].mtime_ns == 1_700_000_000_000_000_000
    assert files[0].read is not None
    assert files[0].read() == b"picture"


def test_a_pictures_state_is_its_date_or_else_its_checksum() -> None:
    day = datetime(2026, 1, 31, tzinfo=UTC)
    assert _stamp({"LastModified": day}) == _stamp({"updated": "2026-01-31T00:00:00Z"}) > 0
    assert _stamp({"mtime": day.timestamp(), "ETag": "a"}) == _stamp({"mtime": day.timestamp(), "ETag": "b"})
    one, other = _stamp({"ETag": "a"}), _stamp({"ETag": "b"})
    assert one != other
    assert 0 < one < 2**63
    assert _stamp({}) == _stamp({"updated": "nonsense"}) == 0


def test_a_store_is_indexed_and_an_unchanged_picture_is_not_read_again(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_clip(tmp_path / "tiny")
    settings = Settings.load(
        data=tmp_path / "data", cache=tmp_path / "cache", model=f"local-dir:{model}", collection="t"
    )
    for i in range(6):
        memory.pipe_file(f"/bucket/{i % 2}/{i}.jpg", jpeg(tmp_path, 40 * i))
    memory.pipe_file("/bucket/bad.jpg", b"no picture")

    def go() -> SimpleNamespace:
        report = run(open_sources(["memory://bucket"], SourceOptions()), settings, RunOptions(sync=True))
        counts = (report.encoded, report.reused, report.unchanged, report.failed, report.failed_before)
        return SimpleNamespace(counts=counts, removed=report.removed)

    assert go().counts == (6, 0, 0, 1, 0)
    reads: list[str] = []
    real = type(memory).cat_file
    monkeypatch.setattr(
        type(memory), "cat_file", lambda self, path, *rest: reads.append(path) or real(self, path, *rest)
    )
    assert go().counts == (0, 0, 6, 0, 1)
    assert not reads
    memory.pipe_file("/bucket/0/0.jpg", jpeg(tmp_path, 250))
    memory.rm("/bucket/1/1.jpg")
    again = go()
    assert (again.counts, again.removed) == ((1, 0, 4, 0, 1), 1)
    assert reads == ["/bucket/0/0.jpg"]
