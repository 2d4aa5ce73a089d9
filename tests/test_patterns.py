from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from clipsearch import images
from clipsearch.errors import SourceError
from indexer.sources import SourceOptions, open_source, open_sources
from indexer.sources.locations import braces


def picture(path: Path, value: int = 128) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.save_jpeg(np.full((8, 8, 3), value, np.uint8), path)
    return path


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures, below the current one."""
    for name in ("a.jpg", "b.png.jpg", "deep/er/c.jpg", "deep/d.JPG", "@eaDir/thumb.jpg", ".trash/x.jpg"):
        picture(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("bring milk")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def found(*locations: str, stdin: bytes | None = None, **options: object) -> list[tuple[str, str]]:
    source = open_sources(
        locations,
        SourceOptions(**options),  # type: ignore[arg-type]
        stdin=None if stdin is None else io.BytesIO(stdin),
    )
    return [(file.source, file.key) for file in source.files()]


# --- patterns ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "stands_for"),
    [
        ("d/{00098..00101}.tar", ["d/00098.tar", "d/00099.tar", "d/00100.tar", "d/00101.tar"]),
        ("{9..11}", ["9", "10", "11"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{a,b{1,2}}", ["a", "b1", "a", "b2"]),
        ("plain{}{x}", ["plain{}{x}"]),
        ("{x}{a,b}", ["{x}a", "{x}b"]),
        ("{a,}x", ["ax", "x"]),
    ],
)
def test_braces_stand_for_what_they_do_in_a_shell(pattern: str, stands_for: list[str]) -> None:
    assert braces(pattern) == list(dict.fromkeys(stands_for))


@pytest.mark.parametrize("pattern", ["{0..999999999999}", "{0..999}" * 40, "{a,b}" * 60])
def test_braces_that_stand_for_too_much_are_refused_at_once(pattern: str) -> None:
    with pytest.raises(SourceError, match="stands for more than 100,000 paths"):
        braces(pattern)


def test_a_pattern_finds_what_the_folder_gives_with_the_same_ids(photos: Path) -> None:
    whole = [(file.source, file.key) for file in open_source(photos, SourceOptions()).files()]
    assert sorted(found("photos/**/*.[jJ][pP][gG]")) == sorted(whole)
    assert [key for _, key in found("photos/**/*.jpg")] == ["a.jpg", "b.png.jpg", "deep/er/c.jpg"]
    assert found("photos/**") == whole


def test_a_pattern_that_matches_folders_means_them_and_nothing_is_given_twice(photos: Path) -> None:
    given = found("photos/*")
    assert given == [
        (str(photos / "deep"), "d.JPG"),
        (str(photos / "deep"), "er/c.jpg"),
        (str(photos), "a.jpg"),
        (str(photos), "b.png.jpg"),
    ]
    assert found("photos/**/*") == given


def test_a_pattern_passes_over_what_is_no_picture_and_is_never_complete(photos: Path) -> None:
    source = open_sources(["photos/*.*"], SourceOptions())
    assert len(list(source.files())) == 2
    assert (source.n_files, source.n_other, source.complete) == (2, 1, False)


def test_one_file_is_taken_for_a_picture_if_it_was_named_and_not_if_it_was_found(photos: Path) -> None:
    (photos / "scan").write_bytes(b"")
    assert found("photos/scan") == [(str(photos), "scan")]
    assert found("photos/sca*") == []


def test_a_pattern_with_a_dot_finds_hidden_folders(photos: Path) -> None:
    assert found("photos/.trash/*.jpg") == [(str(photos / ".trash"), "x.jpg")]
    assert found("photos/.t*/*.jpg") == [(str(photos), ".trash/x.jpg")]
    assert len(found("photos/**/*.jpg", hidden=True)) == 4


def test_a_pattern_leaves_out_what_the_folders_ignore_files_leave_out(photos: Path) -> None:
    (photos / ".clipsearchignore").write_text("er/\n")
    assert [key for _, key in found("photos/**/*.jpg")] == ["a.jpg", "b.png.jpg"]


def test_a_name_with_a_patterns_characters_is_itself(photos: Path) -> None:
    picture(photos / "[1] {a,b}*.jpg")
    assert found("photos/[1] {a,b}*.jpg") == [(str(photos), "[1] {a,b}*.jpg")]
    picture(photos / "x[y]" / "z.jpg")
    assert found("photos/x[y]") == [(str(photos / "x[y]"), "z.jpg")]


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_pattern_does_not_go_round_in_circles(photos: Path) -> None:
    for name in ("one", "two", "three"):
        (photos / "deep" / name).symlink_to(photos, target_is_directory=True)
    assert len(found("photos/**/*.jpg")) == 3


def test_a_pattern_in_the_home_folder_is_found(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos))
    assert [key for _, key in found("~/*.jpg")] == ["a.jpg", "b.png.jpg"]


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("photos/*.gif", r"nothing matches photos/\*.gif; check the pattern"),
        ("photos/nowhere.jpg", "no file or folder at photos/nowhere.jpg"),
        ("photos/{a,q,r}.jpg", r"2 of the 3 paths of photos/\{a,q,r\}.jpg are not there, photos/q.jpg first"),
        ("photos/notes.txt", "is read as a list of paths, but its first line, 'bring milk', is none"),
    ],
)
def test_what_is_not_there_is_said(photos: Path, location: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        open_sources([location], SourceOptions())


# --- lists of paths ------------------------------------------------------------------------------


def test_paths_come_from_standard_input_by_line_or_by_nul(photos: Path) -> None:
    expected = [(str(photos), "a.jpg"), (str(photos / "deep"), "d.JPG")]
    assert found("-", stdin=b"photos/a.jpg\r\nphotos/deep/d.JPG\n\nphotos/notes.txt\n") == expected
    picture(photos / "new\nline.jpg")
    assert found("-", stdin=b"photos/new\nline.jpg\0") == [(str(photos), "new\nline.jpg")]


def test_a_text_file_of_paths_is_a_list_and_may_name_folders(photos: Path) -> None:
    Path("list.txt").write_text("photos/a.jpg\nphotos/deep\n", encoding="utf-8-sig")
    assert found("list.txt") == [
        (str(photos / "deep"), "d.JPG"),
        (str(photos / "deep"), "er/c.jpg"),
        (str(photos), "a.jpg"),
    ]


def test_a_listed_picture_that_is_not_there_is_a_row_not_an_error(photos: Path) -> None:
    source = open_sources(["-"], SourceOptions(), stdin=io.BytesIO(b"photos/a.jpg\nphotos/gone.jpg\n"))
    assert [file.n_bytes == -1 for file in source.files()] == [False, True]


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"\n\n", "has no path in it"), (b"https://example.org/1.jpg\n", "put URLs into a .txt file")],
)
def test_a_list_that_is_none_is_refused(photos: Path, data: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        found("-", stdin=data)


@pytest.mark.skipif(os.name != "posix", reason="needs paths that are no text")
def test_a_path_that_is_no_text_is_found(photos: Path) -> None:
    name = b"photos/\xff.jpg"
    picture(photos / "a.jpg")
    Path("photos/a.jpg").rename(os.fsdecode(name))
    assert found("-", stdin=name) == [(str(photos), os.fsdecode(b"\xff.jpg"))]


# --- what is left out ----------------------------------------------------------------------------


def tree(photos: Path, *names: str) -> None:
    for name in names:
        picture(photos / name)


def keys(photos: Path, **options: object) -> list[str]:
    return [key for _, key in found(str(photos), **options)]


def test_only_what_is_included_and_nothing_that_is_excluded_is_taken(photos: Path) -> None:
    assert keys(photos, include=["deep/**"]) == ["deep/d.JPG", "deep/er/c.jpg"]
    assert keys(photos, include=["*.jpg"], exclude=["/a.jpg"]) == ["b.png.jpg", "deep/er/c.jpg"]
    assert keys(photos, exclude=["er/"]) == ["a.jpg", "b.png.jpg", "deep/d.JPG"]
    assert keys(photos, exclude=["*.jpg", "!a.jpg"]) == ["a.jpg", "deep/d.JPG"]


def test_ignore_files_count_for_their_folder_and_the_nearest_has_the_last_word(photos: Path) -> None:
    tree(photos, "deep/keep/k.png", "deep/keep/l.jpg", "x.png", "deep/top.jpg", "top.jpg")
    (photos / ".clipsearchignore").write_text("# no screenshots\n*.png\n/top.jpg\n", encoding="utf-8-sig")
    (photos / "deep" / "keep" / ".clipsearchignore").write_text("!*.png\nl.*\n")
    assert keys(photos) == [
        *("a.jpg", "b.png.jpg", "deep/d.JPG", "deep/top.jpg", "deep/er/c.jpg", "deep/keep/k.png"),
    ]
    assert "deep/keep/k.png" not in keys(photos, exclude=["k.png"])


def test_a_folder_that_is_left_out_is_not_gone_into_and_nothing_in_it_comes_back(photos: Path) -> None:
    (photos / ".clipsearchignore").write_text("deep/\n!deep/d.JPG\n")
    source = open_source(photos, SourceOptions(exclude=["b*"]))
    assert [file.key for file in source.files()] == ["a.jpg"]
    assert source.complete
    assert source.notes == [
        f"left out of {photos} by --include, --exclude or .clipsearchignore: 1 files and 1 folders"
    ]


def test_named_pictures_obey_the_options_but_no_ignore_file(photos: Path) -> None:
    (photos / ".clipsearchignore").write_text("*\n")
    assert [key for _, key in found("photos/a.jpg", "photos/b.png.jpg")] == ["a.jpg", "b.png.jpg"]
    assert [key for _, key in found("photos/a.jpg", "photos/b.png.jpg", exclude=["b*"])] == ["a.jpg"]


def test_a_pattern_that_is_none_says_where_it_stands(photos: Path) -> None:
    with pytest.raises(SourceError, match=r"--exclude: Invalid git pattern: '!'.*such as \*.png"):
        keys(photos, exclude=["!"])
    (photos / "deep" / ".clipsearchignore").write_text("!\n")
    with pytest.raises(SourceError, match=r"deep/.clipsearchignore: Invalid"):
        keys(photos)


def test_archives_in_a_folder_are_told_with_the_way_to_index_them(photos: Path) -> None:
    for name in ("two.zip", "deep/one one.tar.gz"):
        (photos / name).write_bytes(b"PK")
    source = open_source(photos, SourceOptions())
    assert len(list(source.files())) == 4
    assert source.n_other == 3
    assert source.notes == [
        f"2 archives in {photos} were passed over; to index what is in them, name them: "
        f"clipsearch index '{photos / 'deep' / 'one one.tar.gz'}'"
    ]
