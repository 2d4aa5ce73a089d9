"""Catalogues whose pictures are addresses, or bytes in the table itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import make_clip
from web_server import Site, serving

from clipsearch import images
from clipsearch.errors import ImageError, SourceError
from clipsearch.settings import Settings
from clipsearch.store import open_store
from indexer.options import RunOptions
from indexer.report import RunReport
from indexer.run import run
from indexer.sources import CatalogueSource, SourceOptions, open_sources
from indexer.sources.cells import read_cell

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
HERE = SourceOptions(allow_private=True)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("made") / "x.jpg"
    rng = np.random.default_rng(0)
    made = []
    for _ in range(12):
        images.save_jpeg(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8), path)
        made.append(path.read_bytes())
    return made


def parquet(path: Path, columns: dict[str, object], **options: object) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def opened(path: Path, options: SourceOptions = HERE) -> CatalogueSource:
    return CatalogueSource(path, options)


def data_of(source: CatalogueSource) -> list[bytes]:
    return [file.read() for file in source.files() if file.read is not None]


# --- addresses -------------------------------------------------------------------------------------


def test_cells_may_be_paths_and_urls_side_by_side(tmp_path: Path, site: Site) -> None:
    site.pages["/a.jpg"] = b"picture"
    images.save_jpeg(np.zeros((8, 8, 3), np.uint8), tmp_path / "b.jpg")
    path = tmp_path / "parts.csv"
    path.write_text(f"no,image,side\nA,{site.url}/a.jpg,b.jpg\nB,b.jpg,HTTPS://u:geheim@example.org/c.jpg\n")
    source = opened(path, SourceOptions(image_columns=("image", "side"), id_column="no", allow_private=True))
    files = list(source.files())
    assert [file.key for file in files] == ["A", "A#side", "B", "B#side"]
    assert [file.path for file in files] == [
        f"{site.url}/a.jpg",
        str(tmp_path / "b.jpg"),
        str(tmp_path / "b.jpg"),
        "https://example.org/c.jpg",
    ]
    assert [(file.n_bytes, file.mtime_ns) for file in (files[0], files[3])] == [(0, 0), (0, 0)]
    assert files[0].read is not None
    assert files[0].read() == b"picture"
    assert source.n_readers == 16, "two hosts, eight at once each"
    assert "geheim" not in str(files)


def test_a_catalogue_of_paths_needs_no_readers(tmp_path: Path) -> None:
    images.save_jpeg(np.zeros((8, 8, 3), np.uint8), tmp_path / "b.jpg")
    (tmp_path / "parts.csv").write_text("image\nb.jpg\n")
    assert opened(tmp_path / "parts.csv").n_readers == 0


def test_an_address_that_comes_twice_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "laion.csv"
    path.write_text(
        "URL,TEXT\nhttp://a.example/1.jpg,one\nhttp://a.example/2.jpg,two\nhttp://a.example/1.jpg,x\n"
    )
    source = opened(path)
    assert [file.metadata["TEXT"] for file in source.files()] == ["one", "two"]
    assert source.n_files == 2
    assert "1 rows" in source.notes[-1]
    assert "repeat an address" in source.notes[-1]


def test_other_schemes_and_ways_out_of_the_folder_are_no_addresses(tmp_path: Path) -> None:
    path = tmp_path / "parts.csv"
    path.write_text("image\nfile:///etc/passwd\n")
    (file,) = opened(path).files()
    assert (file.n_bytes, file.read) == (-1, None), "a path below the folder that is not there"
    path.write_text("image\nhttp://a.example/x.jpg\n../secret.jpg\n")
    with pytest.raises(SourceError, match=r"line 3: image is '../secret.jpg', which lies outside"):
        opened(path)


def test_pictures_in_a_store_are_read_through_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    monkeypatch.setattr("indexer.sources.addresses.STORES", frozenset({"memory", "s3"}))
    fsspec.filesystem("memory").pipe_file("/bucket/a.jpg", b"picture")
    (tmp_path / "parts.jsonl").write_text(
        '{"image": "memory://bucket/a.jpg"}\n{"image": "memory://bucket/b.jpg"}\n'
    )
    source = opened(tmp_path / "parts.jsonl")
    one, other = source.files()
    assert (one.key, source.n_readers) == ("memory://bucket/a.jpg", 16)
    assert one.read is not None
    assert other.read is not None
    assert one.read() == b"picture"
    with pytest.raises(ImageError, match=r"memory://bucket/b.jpg") as caught:
        other.read()
    assert caught.value.reason == "unreachable"
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    (tmp_path / "parts.jsonl").write_text('{"image": "s3://bucket/a.jpg"}\n')
    with pytest.raises(SourceError, match=r"clipsearch\[s3\]"):
        opened(tmp_path / "parts.jsonl")


# --- columns that others write ---------------------------------------------------------------------


def test_img2datasets_columns_are_understood_and_told(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "00000.parquet",
        {
            "url": ["http://a.example/1.jpg", "http://a.example/2.jpg"],
            "caption": ["a cat", "a dog"],
            "key": ["000000000", "000000001"],
            "status": ["success", "failed_to_download"],
            "width": [10, None],
        },
    )
    source = opened(path)
    files = list(source.files())
    assert [file.key for file in files] == ["000000000", "000000001"]
    assert files[0].metadata["caption"] == "a cat"
    assert dict(source.fields) == {
        "caption": "text",
        "key": "keyword",
        "status": "keyword",
        "width": "integer",
    }
    assert "'url'" in source.notes[0]
    assert "'key'" in source.notes[1]
    assert "'caption'" in source.notes[2]


def test_a_key_that_does_not_tell_rows_apart_is_only_a_field(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("url,key\nhttp://a.example/1.jpg,x\nhttp://a.example/2.jpg,x\n")
    assert [file.key for file in opened(path).files()] == ["http://a.example/1.jpg", "http://a.example/2.jpg"]
    images.save_jpeg(np.zeros((8, 8, 3), np.uint8), tmp_path / "b.jpg")
    path.write_text("image,key\nb.jpg,x\n")
    assert [file.key for file in opened(path).files()] == ["b.jpg"], "a path names its record, as ever"


def test_clip_retrievals_columns_are_understood(tmp_path: Path) -> None:
    images.save_jpeg(np.zeros((8, 8, 3), np.uint8), tmp_path / "b.jpg")
    path = parquet(
        tmp_path / "metadata_0.parquet",
        {"image_path": ["b.jpg"], "caption": ["x"], "url": ["http://a.example/b"]},
    )
    (file,) = opened(path).files()
    assert (file.key, file.metadata["url"]) == ("b.jpg", "http://a.example/b")


# --- bytes -----------------------------------------------------------------------------------------


def hugging_face(path: Path, jpegs: list[bytes], **columns: object) -> Path:
    cells = [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(jpegs)]
    return parquet(path, {"image": pa.array(cells, PICTURE), **columns}, row_group_size=5)


def test_hugging_faces_pictures_have_their_names_as_keys(tmp_path: Path, jpegs: list[bytes]) -> None:
    path = hugging_face(tmp_path / "train.parquet", jpegs, label=list(range(12)))
    source = opened(path)
    files = list(source.files())
    assert [file.key for file in files] == [f"{i}.jpg" for i in range(12)]
    assert [file.metadata for file in files][:2] == [{"label": 0}, {"label": 1}]
    assert files[3].path == f"{path}#image/4"
    assert data_of(source) == jpegs
    assert source.n_readers == 0
    assert read_cell(files[3].path) == jpegs[3]
    assert read_cell(f"{path}#nowhere/4") is None
    assert read_cell(str(tmp_path / "x.jpg")) is None


def test_bytes_without_good_names_are_named_by_their_rows_or_the_id_column(
    tmp_path: Path, jpegs: list[bytes]
) -> None:
    path = parquet(tmp_path / "t.parquet", {"jpg": jpegs[:3], "no": ["A", "B", "C"], "thumb": jpegs[3:6]})
    assert [file.key for file in opened(path).files()] == ["1", "2", "3"]
    named = SourceOptions(id_column="no", image_columns=("jpg", "thumb"))
    assert [file.key for file in opened(path, named).files()] == [
        "A",
        "A#thumb",
        "B",
        "B#thumb",
        "C",
        "C#thumb",
    ]
    cells = [{"bytes": data, "path": "same.jpg"} for data in jpegs[:2]]
    path = parquet(tmp_path / "u.parquet", {"image": pa.array(cells, PICTURE)})
    assert [file.key for file in opened(path).files()] == ["1", "2"]
    path = parquet(tmp_path / "v.parquet", {"key": ["x", "y"], "scan": jpegs[:2]})
    assert [file.key for file in opened(path).files()] == ["x", "y"], (
        "the only column of bytes, img2dataset's key"
    )


def test_an_empty_cell_of_bytes_is_a_row_with_a_reason(tmp_path: Path, jpegs: list[bytes]) -> None:
    path = parquet(tmp_path / "t.parquet", {"image": [jpegs[0], b"", None]})
    files = list(opened(path).files())
    assert files[0].read is not None
    assert files[0].read() == jpegs[0]
    for file in files[1:]:
        assert file.read is not None
        with pytest.raises(ImageError, match="the cell is empty") as caught:
            file.read()
        assert caught.value.reason == "empty"


def test_pictures_that_are_not_embedded_are_found_by_their_paths(tmp_path: Path) -> None:
    images.save_jpeg(np.zeros((8, 8, 3), np.uint8), tmp_path / "b.jpg")
    cells = [{"bytes": None, "path": "b.jpg"}, {"bytes": None, "path": "http://a.example/c.jpg"}]
    path = parquet(tmp_path / "t.parquet", {"image": pa.array(cells, PICTURE)})
    files = list(opened(path).files())
    assert [file.path for file in files] == [str(tmp_path / "b.jpg"), "http://a.example/c.jpg"]
    assert files[0].read is None


def test_row_numbers_of_pandas_are_told(tmp_path: Path, jpegs: list[bytes]) -> None:
    path = hugging_face(tmp_path / "t.parquet", jpegs, __index_level_0__=list(range(12)))
    source = opened(path)
    assert "__index_level_0__ is no data" in source.notes[-1]
    assert not source.fields


# --- whole runs ------------------------------------------------------------------------------------

Go = Callable[..., RunReport]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_clip(tmp_path_factory.mktemp("models") / "tiny"), tmp_path_factory.mktemp("cache")


@pytest.fixture
def settings(tmp_path: Path, tiny: tuple[Path, Path]) -> Settings:
    return Settings.load(data=tmp_path / "data", cache=tiny[1], model=f"local-dir:{tiny[0]}", collection="t")


@pytest.fixture
def go(settings: Settings) -> Go:
    def index(path: Path, **options: object) -> RunReport:
        return run(open_sources([str(path)], HERE), settings, RunOptions(**options))  # type: ignore[arg-type]

    return index


def counts(report: RunReport) -> tuple[int, int, int, int]:
    return report.encoded, report.reused, report.unchanged, report.failed


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_pictures_in_a_table_are_indexed_and_an_unchanged_table_is_not_read_again(
    go: Go,
    settings: Settings,
    tmp_path: Path,
    jpegs: list[bytes],
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / f"train{suffix}"

    def write(cells: list[bytes]) -> None:
        named = [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(cells)]
        table = pa.table({"image": pa.array(named, PICTURE), "n": range(len(cells))})
        if suffix == ".parquet":
            pq.write_table(table, path, row_group_size=5)
        else:
            with pa.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=5)

    write([*jpegs, b"no picture"])
    assert counts(go(path)) == (12, 0, 0, 1)
    with open_store("t", settings) as store:
        points = [point for batch in store.scroll() for point in batch]
    assert {str(point.payload["_key"]): point.payload["n"] for point in points} == {
        f"{i}.jpg": i for i in range(12)
    }
    with monkeypatch.context() as without:
        without.setattr("clipsearch.tables.blobs.LazyBlobs.read", None)
        assert counts(go(path)) == (0, 0, 12, 0)
    write([*jpegs[:11], jpegs[0]])
    again = go(path, sync=True)
    assert counts(again) == (0, 12, 0, 0), "the table is another, its pictures are not"
    assert again.removed == 0


def test_a_catalogue_of_urls_is_indexed_and_fetched_once(
    go: Go, tmp_path: Path, jpegs: list[bytes], site: Site
) -> None:
    for i, data in enumerate(jpegs):
        site.pages[f"/{i}.jpg"] = data
    rows = [{"url": f"{site.url}/{i}.jpg", "caption": f"picture {i}"} for i in range(13)]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    report = go(tmp_path / "list.json")
    assert counts(report) == (12, 0, 0, 1)
    (failed,) = map(json.loads, Path(str(report.skipped_file)).read_text().splitlines())
    assert (failed["reason"], failed["key"]) == ("unreachable", f"{site.url}/12.jpg")
    again = go(tmp_path / "list.json")
    assert (counts(again), again.failed_before) == ((0, 0, 12, 0), 1)
    assert site.asked.total() == 13
    site.pages["/12.jpg"] = jpegs[0]
    assert counts(go(tmp_path / "list.json", retry_failed=True)) == (0, 1, 12, 0)


def test_a_list_of_urls_is_indexed(go: Go, tmp_path: Path, jpegs: list[bytes], site: Site) -> None:
    for i, data in enumerate(jpegs):
        site.pages[f"/{i}.jpg"] = data
    (tmp_path / "urls.txt").write_text("".join(f"{site.url}/{i}.jpg\n" for i in range(12)))
    assert counts(go(tmp_path / "urls.txt")) == (12, 0, 0, 0)
    (tmp_path / "urls.txt").write_text("".join(f"{site.url}/{i}.jpg\n" for i in range(10)))
    assert go(tmp_path / "urls.txt", sync=True).removed == 2
