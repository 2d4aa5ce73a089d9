"""Lists of URLs and single ones as sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import Site, serving

from clipsearch.errors import ImageError, SourceError
from indexer.sources import SourceOptions, open_sources
from indexer.sources.urls import open_url, open_url_list

HERE = SourceOptions(allow_private=True)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def listed(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "urls.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_list_gives_a_picture_for_each_url_in_its_order(tmp_path: Path, site: Site) -> None:
    site.pages["/1.jpg"] = b"one"
    path = listed(tmp_path, "\ufeff# photos", f"{site.url}/2.jpg", "", f"  {site.url}/1.jpg\t")
    source = open_url_list(path, HERE)
    assert (source.name, source.n_files, source.n_readers, source.complete) == (str(path), 2, 8, True)
    files = list(source.files())
    assert [file.key for file in files] == [file.path for file in files]
    assert [file.key for file in files] == [f"{site.url}/2.jpg", f"{site.url}/1.jpg"]
    assert files[1].read is not None
    assert files[1].read() == b"one"
    assert site.asked == {"/1.jpg": 1}, "nothing is fetched before its turn"


def test_a_url_is_the_same_in_every_run(tmp_path: Path) -> None:
    path = listed(tmp_path, "https://example.org/a.jpg")
    assert list(open_url_list(path, HERE).files()) == list(open_url_list(path, HERE).files())


def test_lines_that_are_no_urls_or_come_twice_are_left_out_and_told(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        "https://example.org/a.jpg",
        "ftp://example.org/b.jpg",
        "https://user:geheim@example.org/c.jpg",
        "https://example.org/c.jpg",
        "https://example.org/a.jpg",
        "nonsense",
    )
    source = open_url_list(path, HERE)
    assert [file.key for file in source.files()] == ["https://example.org/a.jpg", "https://example.org/c.jpg"]
    assert source.n_files == 2
    assert "2 lines" in source.notes[0]
    assert "line 2, 'ftp://example.org/b.jpg': only http" in source.notes[0]
    assert "2 lines" in source.notes[1]
    assert "repeat a URL" in source.notes[1]
    assert "geheim" not in "".join(map(str, [*source.notes, *source.files()]))


def test_a_list_without_a_url_says_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no http\(s\) URL in it; line 2 is 'gopher://x'"):
        open_url_list(listed(tmp_path, "# x", "gopher://x"), HERE)
    with pytest.raises(SourceError, match="no URL in it; write one a line"):
        open_url_list(listed(tmp_path, "# x", ""), HERE)
    with pytest.raises(SourceError, match="cannot be read"):
        open_url_list(tmp_path / "nowhere.txt", HERE)


def test_as_many_readers_as_the_hosts_will_be_asked_at_once(tmp_path: Path) -> None:
    many = listed(tmp_path, *(f"https://host{i}.example/x.jpg" for i in range(50)))
    assert open_url_list(many, HERE).n_readers == 64
    assert open_url_list(many, SourceOptions(n_connections=4)).n_readers == 4


def test_one_url_is_a_picture_of_its_host_and_nothing_is_gone_beside_it(site: Site) -> None:
    site.pages["/1.jpg"] = b"one"
    source = open_url(f"{site.url}/1.jpg", HERE)
    (file,) = source.files()
    assert (source.name, file.key, source.complete) == (site.url, f"{site.url}/1.jpg", False)
    assert file.read is not None
    assert file.read() == b"one"
    with pytest.raises(SourceError, match="cannot be fetched"):
        open_url("http://", HERE)


def test_private_addresses_are_refused_unless_they_are_allowed(tmp_path: Path, site: Site) -> None:
    site.pages["/1.jpg"] = b"secret"
    (file,) = open_url_list(listed(tmp_path, f"{site.url}/1.jpg"), SourceOptions()).files()
    assert file.read is not None
    with pytest.raises(ImageError, match="--allow-private"):
        file.read()
    assert not site.asked


def test_a_list_and_a_url_are_told_by_what_was_typed(tmp_path: Path) -> None:
    path = listed(tmp_path, "https://example.org/a.jpg")
    source = open_sources([str(path), "https://example.org/b.jpg"], HERE)
    assert [part.name for part in source.parts] == [str(path), "https://example.org"]
    assert [file.key for file in source.files()] == ["https://example.org/a.jpg", "https://example.org/b.jpg"]
