from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from clipsearch import images
from clipsearch.errors import SourceError
from indexer.sources import SourceOptions, is_missing, open_source


def picture(path: Path, value: int = 128) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.save_jpeg(np.full((8, 8, 3), value, np.uint8), path)
    return path


def keys(location: Path, **options: object) -> list[str]:
    return [file.key for file in open_source(location, SourceOptions(**options)).files()]  # type: ignore[arg-type]


def test_a_folder_gives_its_pictures_in_order_and_passes_over_junk(tmp_path: Path) -> None:
    for name in (
        "b/2.JPG",
        "b/10.jpg",
        "a.png.jpg",
        "._a.jpg",
        ".hidden/x.jpg",
        "@eaDir/a.jpg",
        "__MACOSX/a.jpg",
    ):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    source = open_source(tmp_path, SourceOptions())
    assert [file.key for file in source.files()] == ["a.png.jpg", "b/10.jpg", "b/2.JPG"]
    assert source.n_other == 1
    assert ".hidden/x.jpg" in keys(tmp_path, hidden=True)


def test_a_link_that_leads_in_a_circle_does_not_hang(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "x.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert keys(tmp_path) == ["a/x.jpg"]


def test_one_picture_has_the_key_it_has_in_its_folder(tmp_path: Path) -> None:
    picture(tmp_path / "x.jpg")
    alone, folder = (list(open_source(p, SourceOptions()).files()) for p in (tmp_path / "x.jpg", tmp_path))
    assert alone == folder


def catalogue(tmp_path: Path, text: str) -> Path:
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        picture(tmp_path / "images" / name)
    (tmp_path / "parts.csv").write_text(text, encoding="utf-8")
    return tmp_path / "parts.csv"


def test_a_row_may_have_several_pictures(tmp_path: Path) -> None:
    path = catalogue(tmp_path, "no,front,side,holes\nA,images/1.jpg,images/2.jpg,4\nB,images/3.jpg,,\n")
    options = SourceOptions(image_columns=("front", "side"), id_column="no")
    source = open_source(path, options)
    files = list(source.files())
    assert [file.key for file in files] == ["A", "A#side", "B"]
    assert [file.metadata["_group"] for file in files] == ["A", "A", "B"]
    assert files[0].metadata == {"_group": "A", "no": "A", "holes": 4}
    assert "holes" not in files[2].metadata
    assert dict(source.fields) == {"no": "keyword", "holes": "integer"}


def test_the_picture_column_and_the_images_folder_are_found_and_told(tmp_path: Path) -> None:
    path = catalogue(tmp_path, "Photo,name\n1.jpg,bolt\n2.jpg,nut\n")
    source = open_source(path, SourceOptions())
    assert [file.key for file in source.files()] == ["1.jpg", "2.jpg"]
    assert not any(is_missing(file) for file in source.files())
    assert len(source.notes) == 2
    assert "'Photo'" in source.notes[0]
    assert "images" in source.notes[1]


def test_a_picture_that_is_missing_is_a_row_not_an_error(tmp_path: Path) -> None:
    path = catalogue(tmp_path, "image\nimages/1.jpg\nimages/nowhere.jpg\n")
    assert [is_missing(file) for file in open_source(path, SourceOptions()).files()] == [False, True]


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (
            "image,no\nimages/1.jpg,A\n",
            {"id_column": "mage"},
            r"no column 'mage' \(did you mean 'image'\?\).*image, no",
        ),
        ("image,no\nimages/1.jpg,A\n", {"image_columns": ("photo",)}, "no column 'photo'"),
        ("pic,no\nimages/1.jpg,A\n", {}, "--image-column"),
        (
            "image,no\nimages/1.jpg,A\nimages/2.jpg,A\n",
            {"id_column": "no"},
            "two rows have the id 'A', lines 2 and 3",
        ),
        ("image,no\nimages/1.jpg,A\nimages/1.jpg,B\n", {}, "two rows name the picture"),
        ("image,no\nimages/1.jpg,\n", {"id_column": "no"}, r"line 2: the id \(no\) is empty"),
        ("image,no\n", {}, "no rows"),
        ("image,no\n,A\n", {}, "names no picture"),
        ("image\n../secret.jpg\n", {}, "outside"),
        ("image\n/etc/passwd\n", {}, "outside"),
        ("image\nimages/1.jpg\n", {"image_root": Path("nowhere")}, "--image-root"),
    ],
)
def test_a_wrong_catalogue_says_what_and_where(
    tmp_path: Path, text: str, options: dict[str, object], says: str
) -> None:
    path = catalogue(tmp_path, text)
    with pytest.raises(SourceError, match=says):
        open_source(path, SourceOptions(**options))  # type: ignore[arg-type]


def test_a_link_out_of_the_catalogues_folder_is_refused_unless_allowed(tmp_path: Path) -> None:
    path = catalogue(tmp_path / "shop", "image\nimages/link.jpg\n")
    picture(tmp_path / "elsewhere.jpg")
    (tmp_path / "shop" / "images" / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(SourceError, match="outside"):
        open_source(path, SourceOptions())
    assert [f.key for f in open_source(path, SourceOptions(allow_outside=True)).files()] == [
        "images/link.jpg"
    ]


def test_a_row_is_found_by_the_path_another_system_wrote(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "ボルト")
    picture(tmp_path / "images" / f"{decomposed}.jpg")
    path = catalogue(tmp_path, f"image\nimages\\1.jpg\nimages/{unicodedata.normalize('NFC', 'ボルト')}.jpg\n")
    files = list(open_source(path, SourceOptions()).files())
    assert not any(is_missing(file) for file in files)
    assert files[0].key == "images\\1.jpg"
    path.write_text("image\n..\\..\\secret.jpg\n")
    with pytest.raises(SourceError, match="outside"):
        open_source(path, SourceOptions())


def test_an_images_folder_that_leads_out_of_the_catalogues_folder_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "images").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "shop" / "parts.csv").write_text("image\n1.jpg\n")
    with pytest.raises(SourceError, match="outside"):
        open_source(tmp_path / "shop" / "parts.csv", SourceOptions())
    root = tmp_path / "elsewhere"
    assert len(keys(tmp_path / "shop" / "parts.csv", image_root=root)) == 1


def test_rows_without_a_picture_are_told(tmp_path: Path) -> None:
    source = open_source(catalogue(tmp_path, "image,no\nimages/1.jpg,A\n,B\n"), SourceOptions(id_column="no"))
    assert source.n_files == 1
    assert "1 of 2 rows name no picture" in source.notes[-1]


def test_an_id_may_be_nought(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "parts.jsonl").write_text('{"no": 0, "image": "a.jpg"}\n')
    assert keys(tmp_path / "parts.jsonl", id_column="no") == ["0"]


def test_a_list_column_becomes_a_list(tmp_path: Path) -> None:
    path = catalogue(tmp_path, "image,tags\nimages/1.jpg,red;blue\n")
    (file,) = open_source(path, SourceOptions(list_columns=("tags",))).files()
    assert file.metadata == {"tags": ["red", "blue"]}
    with pytest.raises(
        SourceError, match=r"no column 'tag' \(did you mean 'tags'\?\), given with --list-column"
    ):
        open_source(path, SourceOptions(list_columns=("tag",)))


def test_columns_take_on_the_kinds_of_the_collections_fields(tmp_path: Path) -> None:
    source = open_source(catalogue(tmp_path, "image,code,price\nimages/1.jpg,1.50,7\n"), SourceOptions())
    assert dict(source.fields) == {"code": "float", "price": "integer"}
    source.conform({"code": "keyword", "price": "float", "else": "text"}, collection="parts")
    (file,) = source.files()
    assert file.metadata == {"code": "1.50", "price": 7.0}
    with pytest.raises(
        SourceError, match=r"line 2: code is '1.50', but collection 'parts' holds integer values"
    ):
        source.conform({"code": "integer"}, collection="parts")


@pytest.mark.skipif(os.name != "posix", reason="needs a path longer than the system opens")
def test_a_folder_that_cannot_be_read_is_told_and_makes_the_source_incomplete(tmp_path: Path) -> None:
    picture(tmp_path / "x.jpg")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # 20 * 250 characters: deeper than an absolute path reaches, even for root
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    source = open_source(tmp_path, SourceOptions())
    assert [file.key for file in source.files()] == ["x.jpg"]
    assert not source.complete
    assert "could not be read" in source.notes[0]


def test_links_to_folders_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "x.jpg")
    (tmp_path / "b").symlink_to(tmp_path / "a", target_is_directory=True)
    source = open_source(tmp_path, SourceOptions())
    assert len(list(source.files())) == 1
    assert source.complete
    assert "1 links to folders were not followed" in source.notes[0]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file or folder at"):
        open_source(tmp_path / "nowhere", SourceOptions())
    with pytest.raises(SourceError, match="is a folder"):
        open_source(tmp_path, SourceOptions(id_column="no"))
    with pytest.raises(SourceError, match=r"is no catalogue; --encoding is for"):
        open_source(picture(tmp_path / "x.jpg"), SourceOptions(encoding="cp932"))
