from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from clipsearch import images
from clipsearch.errors import ImageError, SourceError
from clipsearch.settings import Settings
from clipsearch.store import open_store
from clipsearch.types import ImageFile
from indexer.report import RunReport
from indexer.run import RunOptions, run
from indexer.sources import Source, SourceOptions, open_source, open_sources
from indexer.sources.archives import read_member
from indexer.sources.stored import read_stored

WHEN = 1_700_000_000


@pytest.fixture(scope="session")
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Twenty small pictures, no two alike."""
    folder = tmp_path_factory.mktemp("jpegs")
    rng = np.random.default_rng(0)
    for i in range(20):
        images.save_jpeg(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8), folder / f"{i:02}.jpg")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def tar(path: Path, members: Mapping[str, bytes], mode: str = "w", mtime: int = WHEN) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, members: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 1, 12, 0, 0)), data, how)
    return path


def opened(*paths: Path, **options: object) -> Source:
    return open_sources([str(path) for path in paths], SourceOptions(**options))  # type: ignore[arg-type]


def files(*paths: Path, **options: object) -> list[ImageFile]:
    return list(opened(*paths, **options).files())


def keys(*paths: Path, **options: object) -> list[str]:
    return [file.key for file in files(*paths, **options)]


def content(file: ImageFile) -> bytes:
    assert file.read is not None
    return file.read()


def refused(file: ImageFile) -> ImageError:
    with pytest.raises(ImageError) as caught:
        content(file)
    assert caught.value.reason in images.REASONS
    assert file.path in str(caught.value)
    return caught.value


# --- what is in them -----------------------------------------------------------------------------


def as_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    return zipped(path.with_name("a.zip"), members)


def as_stored_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    return zipped(path.with_name("a.zip"), members, zipfile.ZIP_STORED)


def as_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    return tar(path.with_name("a.tar"), members)


def as_gz(path: Path, members: Mapping[str, bytes]) -> Path:
    return tar(path.with_name("a.tgz"), members, "w:gz")


def as_bz2(path: Path, members: Mapping[str, bytes]) -> Path:
    return tar(path.with_name("a.tar.bz2"), members, "w:bz2")


def as_xz(path: Path, members: Mapping[str, bytes]) -> Path:
    return tar(path.with_name("a.tar.xz"), members, "w:xz")


def as_zst(path: Path, members: Mapping[str, bytes]) -> Path:
    import pyarrow as pa

    plain = tar(path.with_name("plain"), members).read_bytes()
    packed = path.with_name("a.tar.zst")
    packed.write_bytes(pa.Codec("zstd").compress(plain, asbytes=True))
    return packed


@pytest.mark.parametrize("pack", [as_zip, as_stored_zip, as_tar, as_gz, as_bz2, as_xz, as_zst])
def test_every_kind_of_archive_gives_its_pictures_and_their_bytes(
    pack: Callable[[Path, Mapping[str, bytes]], Path], jpegs: list[bytes], tmp_path: Path
) -> None:
    members = {f"trip/{i}.jpg": data for i, data in enumerate(jpegs)} | {"trip/readme.md": b"x"}
    path = pack(tmp_path / "x", members)
    source = open_source(path, SourceOptions())
    found = list(source.files())
    assert [file.key for file in found] == [f"{path.name}/trip/{i}.jpg" for i in range(20)]
    assert [content(file) for file in found] == jpegs
    assert (source.n_files, source.n_other, source.complete, source.notes) == (20, 1, True, [])
    assert {file.source for file in found} == {str(path)} == {source.name}
    assert found[3].path == f"{path}/trip/3.jpg"
    assert (found[3].n_bytes, found[3].metadata) == (len(jpegs[3]), {})
    assert read_member(found[3].path) == jpegs[3]
    assert read_member(f"{path}/trip/nowhere.jpg") is None
    assert read_member(str(tmp_path / "elsewhere" / "x.jpg")) is None


def test_pictures_of_one_stem_without_anything_beside_them_are_all_pictures(
    jpegs: list[bytes], tmp_path: Path
) -> None:
    path = zipped(tmp_path / "a.zip", {"IMG.jpg": jpegs[0], "IMG.png": jpegs[1], "IMG.edit.jpg": jpegs[2]})
    assert keys(path) == ["a.zip/IMG.jpg", "a.zip/IMG.png", "a.zip/IMG.edit.jpg"]


def test_junk_and_hidden_members_are_passed_over_as_in_a_folder(jpegs: list[bytes], tmp_path: Path) -> None:
    names = ("a.jpg", "__MACOSX/._a.jpg", ".DS_Store", "d/._b.jpg", "@eaDir/a.jpg", ".h/c.jpg", "d/.e.jpg")
    path = zipped(tmp_path / "a.zip", dict.fromkeys(names, jpegs[0]))
    assert keys(path) == ["a.zip/a.jpg"]
    assert keys(path, hidden=True) == ["a.zip/a.jpg", "a.zip/.h/c.jpg", "a.zip/d/.e.jpg"]


def test_what_is_left_out_of_a_folder_is_left_out_of_an_archive(jpegs: list[bytes], tmp_path: Path) -> None:
    members = dict.fromkeys(("a.jpg", "raw/b.jpg", "raw/keep.jpg", "old/c.jpg"), jpegs[0])
    path = tar(
        tmp_path / "a.tar", members | {"raw/.clipsearchignore": b"*\n!keep.jpg\n", "raw/keep.txt": b"k"}
    )
    source = opened(path, exclude=["old/"])
    found = list(source.files())
    assert [file.key for file in found] == ["a.tar/a.jpg", "a.tar/raw/keep.jpg"]
    assert found[1].metadata == {"caption": "k"}
    assert source.complete
    assert "2 files" in source.notes[0]
    assert keys(path, include=["/old/*.jpg"]) == ["a.tar/old/c.jpg"]


def test_japanese_names_are_read_whoever_packed_them(jpegs: list[bytes], tmp_path: Path) -> None:
    names = ["写真/ボルト表.jpg", "写真/ソ連 十能.jpg", "plain.jpg"]  # ソ 十 能 have a backslash in cp932
    expected = [f"a.zip/{name}" for name in names]
    assert keys(zipped(tmp_path / "a.zip", dict.fromkeys(names, jpegs[0]))) == expected
    for encoding in ("cp932", "utf-8"):  # as Windows and macOS write them: without a flag
        path = raw_named(tmp_path / "a.zip", [name.encode(encoding) for name in names], jpegs[0])
        found = files(path)
        assert [file.key for file in found] == expected
        assert [content(file) for file in found] == [jpegs[0]] * 3
        assert read_member(found[1].path) == jpegs[0]


def test_western_names_without_a_flag_stay_western(jpegs: list[bytes], tmp_path: Path) -> None:
    path = raw_named(
        tmp_path / "a.zip", ["château.jpg".encode("cp437"), "Müller.jpg".encode("cp437")], jpegs[0]
    )
    assert keys(path) == ["a.zip/château.jpg", "a.zip/Müller.jpg"]


def test_the_user_says_which_encoding_a_zips_names_are_in(jpegs: list[bytes], tmp_path: Path) -> None:
    path = raw_named(tmp_path / "a.zip", ["Привет.jpg".encode("cp866")], jpegs[0])
    assert keys(path, encoding="cp866") == ["a.zip/Привет.jpg"]
    with pytest.raises(SourceError, match="no encoding 'klingon'"):
        opened(path, encoding="klingon")


def raw_named(path: Path, names: list[bytes], data: bytes) -> Path:
    """A zip whose names are these bytes, without a flag for UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            archive.writestr(f"{i}".rjust(len(name), "n"), data)
    packed = path.read_bytes()
    for i, name in enumerate(names):
        packed = packed.replace(f"{i}".rjust(len(name), "n").encode(), name)
    path.write_bytes(packed)
    return path


# --- WebDataset ----------------------------------------------------------------------------------


def row(i: int, **more: object) -> bytes:
    return json.dumps(
        {"url": f"http://x/{i}", "width": 32 + i, "nsfw": 0.25, "key": f"{i:08}", **more}
    ).encode()


def shard(path: Path, jpegs: list[bytes], begin: int, n: int = 4, **more: object) -> Path:
    members: dict[str, bytes] = {}
    for i in range(begin, begin + n):
        members[f"{i:08}.json"] = row(i, **more)
        members[f"{i:08}.txt"] = f"a picture of {i}".encode()
        members[f"{i:08}.jpg"] = jpegs[i]
    return tar(path, members)


def test_a_shards_captions_and_columns_become_typed_fields(jpegs: list[bytes], tmp_path: Path) -> None:
    path = shard(
        tmp_path / "00000.tar", jpegs, 0, exif={"a": {"b": 1}}, _id=7, tags=["x", "y", {"z": 1}], no=None
    )
    source = opened(path)
    assert dict(source.fields) == {
        "url": "keyword",
        "width": "integer",
        "nsfw": "float",
        "key": "keyword",
        "caption": "text",
        "id": "integer",
        "tags": "keyword",
    }
    found = list(source.files())
    assert [file.key for file in found] == [f"00000.tar/{i:08}.jpg" for i in range(4)]
    assert found[2].metadata == {
        "url": "http://x/2",
        "width": 34,
        "nsfw": 0.25,
        "key": "00000002",
        "caption": "a picture of 2",
        "id": 7,
        "tags": ["x", "y"],
    }
    assert source.n_other == 0


def test_a_sample_is_one_picture_whatever_else_it_has(jpegs: list[bytes], tmp_path: Path) -> None:
    members = {"a/1.seg.png": jpegs[0], "a/1.webp": jpegs[1], "a/1.JPG": jpegs[2], "a/1.cls": b"7\n"}
    members |= {"a/1.pyd": b"cposix\nsystem\n(S'true'\ntR.", "b/1.jpg": jpegs[3], "b/2.txt": b"no picture"}
    source = opened(tar(tmp_path / "a.tar", members))
    assert [(file.key, dict(file.metadata)) for file in source.files()] == [
        ("a.tar/a/1.JPG", {"cls": 7}),
        ("a.tar/b/1.jpg", {}),
    ]
    assert source.n_other == 2
    assert "2 pictures of" in source.notes[0]


def test_a_value_or_a_column_unlike_the_first_shards_is_left_out_and_told_once(
    jpegs: list[bytes], tmp_path: Path
) -> None:
    paths = [shard(tmp_path / f"{i:05}.tar", jpegs, 4 * i) for i in range(5)]
    tar(paths[1], {"4.json": row(4, width="wide", late=1), "4.jpg": jpegs[4]})
    tar(paths[3], {"5.json": row(5, width="wider", late=2), "5.jpg": jpegs[5]})
    source = opened(*paths)
    found = {file.key: file for file in source.files()}
    assert "width" not in found["00001.tar/4.jpg"].metadata
    assert found["00003.tar/5.jpg"].metadata == {"url": "http://x/5", "nsfw": 0.25, "key": "00000005"}
    assert len(source.notes) == 2
    assert "width of" in source.notes[0]
    assert "'wide', which is no integer" in source.notes[0]
    assert "column 'late'" in source.notes[1]
    assert source.complete


def test_a_sidecar_that_is_none_costs_nothing_but_its_values(jpegs: list[bytes], tmp_path: Path) -> None:
    bad = {
        "1.json": b"{",
        "2.json": b"[1]",
        "3.json": b"[" * 200_000,
        "4.json": b'{"a":1e999,"b":NaN,"c":"\\ud800"}',
    }
    bad |= {"5.txt": b"\xff\xfe", "6.json": b'{"n":' + b"9" * 5000 + b"}", "7.cls": b"dog", "8.txt": b"  "}
    members = bad | {f"{i}.jpg": jpegs[i] for i in range(1, 9)}
    found = files(tar(tmp_path / "a.tar", members))
    assert [dict(file.metadata) for file in found] == [
        *({}, {}, {}, {"c": "?"}, {"caption": "\ufffd\ufffd"}, {}, {"cls": "dog"}, {}),
    ]


def test_columns_without_end_are_bounded(jpegs: list[bytes], tmp_path: Path) -> None:
    wide = json.dumps({f"c{i}": i for i in range(2000)}).encode()
    source = opened(tar(tmp_path / "a.tar", {"1.json": wide, "1.jpg": jpegs[0]}))
    assert len(source.fields) == 500
    assert len(next(source.files()).metadata) == 500


def test_fields_take_on_a_collections_kinds_or_are_refused(jpegs: list[bytes], tmp_path: Path) -> None:
    source = opened(shard(tmp_path / "a.tar", jpegs, 0), shard(tmp_path / "b.tar", jpegs, 4))
    source.conform({"width": "float", "url": "text"}, collection="t")
    assert source.fields["width"] == "float"
    assert next(source.files()).metadata["width"] == 32.0
    with pytest.raises(SourceError, match="url holds text values, but collection 't' holds datetime"):
        source.conform({"url": "datetime"}, collection="t")


# --- ids -----------------------------------------------------------------------------------------


def test_ids_are_the_same_alone_by_a_range_and_beside_a_new_shard(jpegs: list[bytes], tmp_path: Path) -> None:
    paths = [shard(tmp_path / f"{i:05}.tar", jpegs, 4 * i) for i in range(3)]
    alone = [file for path in paths for file in files(path)]
    assert files(tmp_path / "{00000..00002}.tar") == files(tmp_path / "*.tar") == alone
    shard(tmp_path / "00003.tar", jpegs, 12)
    source = opened(tmp_path / "{00000..00003}.tar")
    assert list(source.files())[:12] == alone
    assert [part.name for part in source.parts] == [str(tmp_path / f"{i:05}.tar") for i in range(4)]
    assert all(part.complete for part in source.parts)
    with pytest.raises(SourceError, match=r"1 of the 5 paths .* are not there, .*/00004.tar first"):
        opened(tmp_path / "{00000..00004}.tar")


def test_archives_that_moved_keep_their_ids_by_name(jpegs: list[bytes], tmp_path: Path) -> None:
    paths = [shard(tmp_path / "old" / f"{i}.tar", jpegs, 4 * i) for i in range(2)]
    before = [(file.source, file.key) for file in files(*paths)]
    (tmp_path / "old").rename(tmp_path / "new")
    moved = [tmp_path / "new" / path.name for path in paths]
    for name in (str(tmp_path / "old"), str(paths[0])):  # the folder, or one of them
        assert [(file.source, file.key) for file in files(*moved, name=name)] == before
    renamed = moved[0].rename(tmp_path / "other.tar")
    assert [(file.source, file.key) for file in files(renamed, name=str(paths[0]))] == before[:4]


def test_of_members_with_one_name_the_last_counts(jpegs: list[bytes], tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"a.jpg": jpegs[0], "b.jpg": jpegs[1]})
    tar(path, {"./a.jpg": jpegs[2]}, "a")
    assert [(file.key, content(file)) for file in files(path)] == [
        ("a.tar/b.jpg", jpegs[1]),
        ("a.tar/a.jpg", jpegs[2]),
    ]


def test_a_changed_member_is_another_file_and_an_equal_one_is_not(jpegs: list[bytes], tmp_path: Path) -> None:
    same = jpegs[0][:-1] + b"\0"  # as long, and of the same date
    first = files(zipped(tmp_path / "a.zip", {"a.jpg": jpegs[0], "b.jpg": jpegs[1]}))
    second = files(zipped(tmp_path / "a.zip", {"a.jpg": same, "b.jpg": jpegs[1], "c.jpg": jpegs[2]}))
    assert first[0].n_bytes == second[0].n_bytes
    assert first[0].mtime_ns != second[0].mtime_ns
    assert first[1] == second[1]


def test_a_tars_members_without_a_date_have_the_archives(jpegs: list[bytes], tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"a.jpg": jpegs[0]}, mtime=0)
    assert files(path)[0].mtime_ns == path.stat().st_mtime_ns
    assert files(tar(tmp_path / "b.tar", {"a.jpg": jpegs[0]}))[0].mtime_ns == WHEN * 10**9


# --- hostile and damaged ones --------------------------------------------------------------------


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_a_name_that_leads_out_of_the_archive_is_only_a_name(
    pack: Callable[[Path, Mapping[str, bytes]], Path], jpegs: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    names = ("../secret.jpg", "/etc/x.jpg", "a/../../../secret.jpg", "..\\win.jpg", "//b//./c.jpg")
    path = pack(tmp_path / "in" / "x", dict.fromkeys(names, jpegs[0]))
    found = files(path, hidden=True)
    assert [content(file) for file in found] == [jpegs[0]] * 5
    for file in found:
        assert Path(os.path.normpath(file.path)).is_relative_to(path)
        assert Path(file.path).resolve().is_relative_to(path)
        assert read_member(file.path) == jpegs[0]
    assert {p.name for p in tmp_path.rglob("*")} == {"in", "secret.jpg", path.name}


def test_links_devices_and_folders_are_no_pictures(jpegs: list[bytes], tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"a.jpg": jpegs[0]})
    with tarfile.open(path, "a") as archive:
        for i, kind in enumerate(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
        ):
            info = tarfile.TarInfo(f"{i}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert keys(path) == ["a.tar/a.jpg"]
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
        packed.writestr("a.jpg", jpegs[0])
    assert keys(tmp_path / "a.zip") == ["a.zip/a.jpg"]


def test_a_member_over_the_bound_is_refused_before_it_is_read(
    jpegs: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10_000)
    bomb = b"\0" * 10_001
    for path in (zipped(tmp_path / "a.zip", {"a.jpg": bomb}), tar(tmp_path / "a.tar", {"a.jpg": bomb})):
        assert refused(files(path)[0]).reason == "too-large"


def test_a_zip_that_lies_about_its_members_sizes_gives_no_more_than_it_said(
    jpegs: list[bytes], tmp_path: Path
) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": b"\0" * 5_000_000})
    path.write_bytes(
        path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    )
    assert refused(files(path)[0]).reason == "corrupt"


def test_an_archive_that_unpacks_to_far_more_than_pictures_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.sources.shelf._ALWAYS", 1_000_000)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(tar(tmp_path / "x", {"a.jpg": b"\0" * 3_000_000}).read_bytes()))
    with pytest.raises(SourceError, match=r"unpacks to more than 1,000,000 bytes.*TMPDIR"):
        opened(path)


def test_an_encrypted_picture_is_a_row_with_a_reason(jpegs: list[bytes], tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": jpegs[0]})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    error = refused(files(path)[0])
    assert error.reason == "unreadable"
    assert "encrypted" in str(error)


def test_a_damaged_member_is_a_row_and_its_neighbours_are_read(jpegs: list[bytes], tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": jpegs[0], "b.jpg": jpegs[1]}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(jpegs[0]) + 50] ^= 0xFF
    path.write_bytes(data)
    found = files(path)
    assert refused(found[0]).reason == "corrupt"
    assert content(found[1]) == jpegs[1]


@pytest.mark.parametrize("at", ["in a picture", "in a header"])
@pytest.mark.parametrize("packed", [False, True])
def test_of_an_archive_that_is_cut_off_what_is_there_is_read_and_nothing_is_gone(
    at: str, packed: bool, jpegs: list[bytes], tmp_path: Path
) -> None:
    path = tar(tmp_path / "a.tar", {f"{i:02}.jpg": data for i, data in enumerate(jpegs)})
    whole = path.read_bytes()
    cut = whole.index(jpegs[10]) + (100 if at == "in a picture" else -300)
    if packed:
        path = tmp_path / "a.tar.gz"
        path.write_bytes(gzip.compress(whole[:cut], 0)[:-8])
    else:
        path.write_bytes(whole[:cut])
    source = opened(path)
    found = list(source.files())
    assert [content(file) for file in found[:10]] == jpegs[:10]
    assert [refused(file).reason for file in found[10:]] == (["truncated"] if at == "in a picture" else [])
    assert not source.complete
    assert "is damaged" in source.notes[0]
    assert "Copy it again" in source.notes[0]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.zip", b"", "is empty"),
        ("a.zip", b"no archive" * 100, "is no archive, whatever its name says"),
        ("a.zip", b"PK\x03\x04" + b"x" * 600, "is a zip without an end"),
        ("a.tar", b"x" * 5000, "is no archive, whatever its name says"),
        ("a.tgz", b"\x1f\x8b\x08" + b"\xff" * 600, None),
        ("a.tar.bz2", b"BZh9" + b"x" * 600, None),
        ("a.tar.xz", lzma.compress(b"x" * 2000)[:40], None),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd" + b"x" * 600, None),
    ],
)
def test_what_is_no_archive_is_refused_or_gives_nothing_and_says_so(
    name: str, data: bytes, says: str | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    if says is not None:
        with pytest.raises(SourceError, match=says):
            opened(tmp_path / name)
        return
    source = opened(tmp_path / name)
    assert list(source.files()) == []
    assert not source.complete
    assert "is damaged" in source.notes[0]


def test_a_tar_of_headers_that_lie_ends(jpegs: list[bytes], tmp_path: Path) -> None:
    for size in (-512, -1024, 2**62, 2**80):
        info = tarfile.TarInfo("a.jpg")
        info.size = size
        for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            info.type = kind
            header = info.tobuf(tarfile.GNU_FORMAT)
            path = tar(tmp_path / "a.tar", {"b.jpg": jpegs[0]})
            path.write_bytes(path.read_bytes()[: 512 * (2 + len(jpegs[0]) // 512)] + header + b"\0" * 1024)
            source = opened(path)
            assert "a.tar/b.jpg" in [file.key for file in source.files()]
            assert not source.complete


def test_a_name_of_a_hundred_thousand_folders_is_no_name(jpegs: list[bytes], tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"d/" * 50_000 + "a.jpg": jpegs[0], "b.jpg": jpegs[1]})
    assert keys(path) == ["a.tar/b.jpg"]


def test_noise_in_an_archive_never_ends_in_another_error(jpegs: list[bytes], tmp_path: Path) -> None:
    members = {f"{i}.jpg": data for i, data in enumerate(jpegs[:5])} | {"0.json": row(0), "1.txt": b"one"}
    whole = {
        "a.tar": tar(tmp_path / "a.tar", members).read_bytes(),
        "a.zip": zipped(tmp_path / "a.zip", members).read_bytes(),
        "a.tgz": tar(tmp_path / "a.tgz", members, "w:gz").read_bytes(),
        "a.tar.bz2": bz2.compress(tar(tmp_path / "x", members).read_bytes()),
    }
    dice = random.Random(0)
    for name, data in whole.items():
        for _ in range(60):
            noisy = bytearray(data)
            for _ in range(dice.choice((1, 5, 50))):
                noisy[dice.randrange(len(noisy))] = dice.randrange(256)
            (tmp_path / name).write_bytes(noisy)
            try:
                for file in files(tmp_path / name):
                    content(file)
            except (SourceError, ImageError):
                continue


# --- many, and at once ---------------------------------------------------------------------------


def test_two_thousand_members_are_listed_before_any_is_read(jpegs: list[bytes], tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for i in range(2000):
        members |= {f"{i:06}.jpg": jpegs[i % 20], f"{i:06}.json": row(i)}
    source = opened(tar(tmp_path / "a.tar", members))
    assert source.n_files is None
    first = next(iterator := source.files())
    assert source.n_files == 2000
    assert content(first) == jpegs[0]
    rest = list(iterator)
    assert len(rest) == 1999
    assert rest[-1].metadata["width"] == 32 + 1999
    assert all(content(file) == jpegs[(i + 1) % 20] for i, file in enumerate(rest))


@pytest.mark.parametrize("pack", [as_zip, as_stored_zip, as_tar, as_gz])
def test_threads_that_read_at_once_get_the_right_bytes(
    pack: Callable[[Path, Mapping[str, bytes]], Path], jpegs: list[bytes], tmp_path: Path
) -> None:
    found = files(pack(tmp_path / "x", {f"{i:02}.jpg": data for i, data in enumerate(jpegs)}))
    wanted = list(range(20)) * 30
    random.Random(0).shuffle(wanted)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: content(found[i]), wanted))
    assert read == [jpegs[i] for i in wanted]


def test_archives_off_the_shelf_are_opened_again_and_two_at_most_are_kept_open(
    jpegs: list[bytes], tmp_path: Path
) -> None:
    paths = [tar(tmp_path / f"{i}.tgz", {"a.jpg": jpegs[i]}, "w:gz") for i in range(6)]
    before = n_open_files()
    found = files(*paths)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda i: content(found[i % 6]), range(60)))
    assert read == [jpegs[i % 6] for i in range(60)]
    assert n_open_files() <= before + 2


def n_open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_an_archive_that_changes_under_the_run_gives_no_wrong_bytes(
    jpegs: list[bytes], tmp_path: Path
) -> None:
    path = tar(tmp_path / "a.tar", {"a.jpg": jpegs[0], "b.jpg": jpegs[1]})
    found = files(path)
    tar(path, {"b.jpg": jpegs[1], "a.jpg": jpegs[0]}, mtime=WHEN + 1)
    os.utime(path, (WHEN, WHEN))
    error = refused(found[0])
    assert error.reason == "unreadable"
    assert "run the same command again" in str(error)


# --- through the run -----------------------------------------------------------------------------


def index(source: Source, settings: Settings, **options: object) -> RunReport:
    return run(source, settings, RunOptions(**options))  # type: ignore[arg-type]


def test_shards_are_indexed_with_their_columns_and_found_unchanged(
    jpegs: list[bytes], tmp_path: Path, settings: Settings
) -> None:
    for i in range(4):
        shard(tmp_path / "shards" / f"{i:05}.tar", jpegs, 4 * i)
    pattern = tmp_path / "shards" / "{00000..00003}.tar"
    done = index(opened(pattern), settings)
    assert (done.encoded, done.failed, done.exit_code) == (16, 0, 0)
    with open_store("t", settings) as store:
        assert store.spec.fields["caption"] == "text"
        payloads = {str(p.payload["_key"]): p.payload for batch in store.scroll() for p in batch}
    assert payloads["00002.tar/00000009.jpg"]["width"] == 41
    assert payloads["00002.tar/00000009.jpg"]["caption"] == "a picture of 9"
    assert payloads["00002.tar/00000009.jpg"]["_path"] == str(tmp_path / "shards/00002.tar/00000009.jpg")
    shard(tmp_path / "shards" / "00004.tar", jpegs, 16)
    more = index(opened(tmp_path / "shards" / "*.tar"), settings)
    assert (more.encoded, more.unchanged) == (4, 16)
    assert index(opened(tmp_path / "shards" / "00001.tar"), settings).unchanged == 4


def test_a_bad_picture_in_an_archive_is_a_row_that_names_it(
    jpegs: list[bytes], tmp_path: Path, settings: Settings
) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": jpegs[0], "cut.jpg": jpegs[1][:300], "no.png": b"text"})
    report = index(opened(path), settings)
    assert (report.encoded, report.failed) == (1, 2)
    rows = [json.loads(line) for line in Path(str(report.skipped_file)).read_text().splitlines()]
    assert {row["path"]: row["reason"] for row in rows} == {
        f"{path}/cut.jpg": "truncated",
        f"{path}/no.png": "not-an-image",
    }


def test_a_picture_that_left_an_archive_is_gone_but_not_from_a_damaged_one(
    jpegs: list[bytes], tmp_path: Path, settings: Settings
) -> None:
    members = {f"{i:02}.jpg": data for i, data in enumerate(jpegs)}
    path = tar(tmp_path / "a.tar", members)
    index(opened(path), settings)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    cut = index(opened(path), settings, sync=True)
    assert (cut.removed, cut.encoded) == (0, 0)
    with open_store("t", settings) as store:
        assert store.count() == 20
    del members["07.jpg"]
    tar(path, members)
    synced = index(opened(path), settings, sync=True)
    assert (synced.removed, synced.encoded) == (1, 0)


def test_found_pictures_of_an_archive_can_be_looked_at(
    run_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    images.save_png(np.full((64, 64, 3), (250, 20, 20), np.uint8), tmp_path / "red.png")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "red.png", "deep/red.png")
    assert run_cli("index", "x.zip", "-m", "starter").returncode == 0
    done = run_cli("search", "red", "--sheet", "sheet.png")
    assert done.returncode == 0, done.stderr
    sheet = images.decode(tmp_path / "sheet.png").pixels
    assert (np.abs(sheet.astype(int) - (250, 20, 20)).max(axis=2) < 3).sum() > 10_000  # not a grey tile


def test_a_path_that_is_no_picture_any_more_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    for path in (tmp_path / "broken.zip" / "a.jpg", tmp_path / "gone.parquet#image/3", tmp_path / "x.jpg"):
        assert read_stored(str(path)) is None
    assert read_stored("https://example.com/x.zip/a.jpg") is None
