from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from clipsearch import images
from clipsearch.errors import SourceError
from clipsearch.settings import Settings
from clipsearch.store import open_store
from indexer.report import RunReport
from indexer.run import RunOptions, run
from indexer.sources import CombinedSource, Source, SourceOptions, open_source, open_sources


def picture(path: Path, value: int = 128) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.save_jpeg(np.full((8, 8, 3), value, np.uint8), path)
    return path


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Two folders, a catalogue and a zip."""
    for i, name in enumerate(("one/1.jpg", "one/deep/2.jpg", "two/1.jpg", "shop/images/p.jpg")):
        picture(tmp_path / name, 40 * i)
    (tmp_path / "shop" / "parts.csv").write_text("no,image,price\nA,images/p.jpg,7\n")
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.write(picture(tmp_path / "z.jpg", 200), "z.jpg")
    (tmp_path / "z.jpg").unlink()
    return tmp_path


def opened(*locations: Path, **options: object) -> Source:
    return open_sources([str(path) for path in locations], SourceOptions(**options))  # type: ignore[arg-type]


def test_every_record_has_the_id_it_has_where_its_source_is_indexed_alone(places: Path) -> None:
    locations = [places / name for name in ("one", "two", "shop/parts.csv", "old.zip")]
    alone = [list(open_source(path, SourceOptions()).files()) for path in locations]
    together = opened(*locations)
    assert isinstance(together, CombinedSource)
    assert list(together.files()) == [file for files in alone for file in files]
    assert [part.name for part in together.parts] == [str(path) for path in locations]
    assert (together.n_files, together.n_other, together.n_readers) == (5, 0, 0)
    assert together.complete
    assert together.name == f"{places / 'one'} and 3 more sources"


def test_one_location_is_no_combination(places: Path) -> None:
    source = opened(places / "one", places / "one", places / "two" / ".." / "one")
    assert source.name == str(places / "one")
    assert source.parts == (source,)


def test_the_numbers_of_folders_are_known_before_the_first_picture_comes(places: Path) -> None:
    source = opened(places / "one", places / "two")
    next(source.files())
    assert source.n_files == 3


def test_pictures_that_the_shell_found_are_one_source_with_their_folders_ids(places: Path) -> None:
    for i in range(3000):
        (places / "one" / f"x{i:04}.jpg").write_bytes(b"")
    source = opened(*sorted((places / "one").glob("*")), places / "two" / "1.jpg")
    folder = {file.key: file for file in open_source(places / "one", SourceOptions()).files()}
    names = {part.name: part.complete for part in source.parts}
    files = list(source.files())
    assert names == {
        str(places / "one" / "deep"): False,
        str(places / "one"): False,
        str(places / "two"): False,
    }
    direct = [file for file in files if file.source == str(places / "one")]
    assert len(direct) == 3001
    assert all(folder[file.key] == file for file in direct)
    assert [part.complete for part in source.parts] == [True, False, False]
    assert not source.complete


def test_what_a_folder_gives_already_is_not_given_again(places: Path) -> None:
    source = opened(places / "one" / "1.jpg", places / "one" / "deep" / "2.jpg", places / "one")
    assert [(file.source, file.key) for file in source.files()] == [
        (str(places / "one"), "1.jpg"),
        (str(places / "one"), "deep/2.jpg"),
        (str(places / "one" / "deep"), "2.jpg"),  # another source's record, as when it is indexed alone
    ]


def test_the_notes_of_all_parts_are_told_also_those_that_come_late(places: Path) -> None:
    (places / "one" / "more.tar").write_bytes(b"")
    (places / "two" / "link").symlink_to(places / "one", target_is_directory=True)
    source = opened(places / "one", places / "two", places / "shop" / "parts.csv")
    notes = source.notes
    assert len(notes) == 1
    list(source.files())
    assert len(notes) == 3
    assert notes is source.notes


def test_columns_are_merged_and_whole_numbers_join_fractions(places: Path) -> None:
    picture(places / "b" / "q.jpg")
    (places / "b" / "more.csv").write_text("image,price,colour\nq.jpg,1.5,red\n")
    source = opened(places / "shop" / "parts.csv", places / "b" / "more.csv", places / "one")
    assert dict(source.fields) == {"no": "keyword", "price": "float", "colour": "keyword"}
    prices = [file.metadata.get("price") for file in source.files()]
    assert [type(price) for price in prices if price is not None] == [float, float]


def test_columns_of_one_name_and_two_kinds_are_refused_and_both_are_named(places: Path) -> None:
    picture(places / "b" / "q.jpg")
    (places / "b" / "more.csv").write_text("image,price\nq.jpg,on request\n")
    with pytest.raises(
        SourceError, match=r"'price' holds integer values in .*parts.csv, but keyword .*more.csv"
    ):
        opened(places / "shop" / "parts.csv", places / "b" / "more.csv")


def test_options_for_catalogues_are_for_those_among_several(places: Path) -> None:
    source = opened(places / "one", places / "shop" / "parts.csv", id_column="no")
    assert [file.key for file in source.files()] == ["1.jpg", "deep/2.jpg", "A"]
    with pytest.raises(SourceError, match="is a folder; --id-column is for catalogues"):
        opened(places / "one", places / "two", id_column="no")


def test_one_name_for_several_sources_is_refused(places: Path) -> None:
    with pytest.raises(SourceError, match="--source-name x names one source, but 2 were given"):
        opened(places / "one", places / "two", name="x")
    pictures = (places / "one" / "1.jpg", picture(places / "one" / "3.jpg"))
    assert {file.source for file in opened(*pictures, name="x").files()} == {"x"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "no file or folder at"),
        ("p.rar", "a kind that is not read here"),
        ("one/1.jpg.gz", "a kind"),
    ],
)
def test_what_cannot_be_indexed_is_named(places: Path, name: str, says: str) -> None:
    if name != "nowhere":
        (places / name).write_bytes(b"Rar!")
    with pytest.raises(SourceError, match=says):
        opened(places / name)


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(SourceError, match="nothing was named"):
        open_sources([], SourceOptions())


# --- through the run -----------------------------------------------------------------------------


def index(source: Source, settings: Settings, **options: object) -> RunReport:
    return run(source, settings, RunOptions(**options))  # type: ignore[arg-type]


def stored(settings: Settings) -> list[tuple[str, str]]:
    with open_store("t", settings) as store:
        return sorted(
            (str(p.payload["_source"]), str(p.payload["_key"])) for batch in store.scroll() for p in batch
        )


def test_several_places_are_indexed_in_one_run_and_found_unchanged_one_by_one(
    places: Path, settings: Settings
) -> None:
    locations = [places / name for name in ("one", "two", "shop/parts.csv", "old.zip")]
    done = index(opened(*locations), settings)
    assert (done.found, done.encoded, done.failed) == (5, 5, 0)
    with open_store("t", settings) as store:
        assert dict(store.spec.fields)["price"] == "integer"
    for path, n in zip(locations, (2, 1, 1, 1), strict=True):
        again = index(open_source(path, SourceOptions()), settings)
        assert (again.encoded, again.unchanged) == (0, n)
    assert index(opened(*locations), settings).unchanged == 5


def test_what_is_left_out_after_it_was_indexed_is_gone(places: Path, settings: Settings) -> None:
    index(opened(places / "one"), settings)
    (places / "one" / ".clipsearchignore").write_text("deep/\n")
    report = index(opened(places / "one"), settings, sync=True)
    assert (report.unchanged, report.removed) == (1, 1)
    assert stored(settings) == [(str(places / "one"), "1.jpg")]


def test_pictures_named_one_by_one_remove_none_of_their_neighbours(places: Path, settings: Settings) -> None:
    index(opened(places / "one"), settings)
    shutil.copy(places / "one" / "1.jpg", places / "one" / "3.jpg")
    report = index(opened(places / "one" / "1.jpg", places / "one" / "3.jpg"), settings, sync=True)
    assert (report.removed, report.unchanged, report.reused) == (0, 1, 1)
    assert len(stored(settings)) == 3
