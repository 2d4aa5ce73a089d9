from __future__ import annotations

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


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file or folder at"):
        open_source(tmp_path / "nowhere", SourceOptions())
    with pytest.raises(SourceError, match="is a folder"):
        open_source(tmp_path, SourceOptions(id_column="no"))
