"""The pictures of a query, from files and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import Site, serving

import clipsearch
from clipsearch.cli.demo import data_folder
from clipsearch.errors import SourceError
from clipsearch.search import pictures
from clipsearch.search.pictures import picture


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def test_an_address_in_a_query_is_the_picture_there(demo_copy: Path, site: Site) -> None:
    photo = min((data_folder() / "images").glob("CR-*.jpg"))
    site.pages["/photo.jpg"] = photo.read_bytes()
    with clipsearch.open("demo") as parts:
        page = parts.search(f"{site.url}/photo.jpg", top=1)
    assert Path(page.hits[0].path).name == photo.name
    assert site.asked == {"/photo.jpg": 1}


def test_what_cannot_be_fetched_names_the_address_and_a_way_out(site: Site) -> None:
    with pytest.raises(SourceError, match=rf"{site.url}/gone\.jpg answers 404"):
        picture(f"{site.url}/gone.jpg")
    with pytest.raises(SourceError, match="cannot be fetched"):
        picture("http://127.0.0.1:1/x.jpg")
    with pytest.raises(SourceError, match="no picture at"):
        picture("./nowhere.jpg")


def test_a_fetched_picture_is_bounded_in_size_and_in_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/large.jpg"] = bytes(300_000)
    monkeypatch.setattr(pictures, "MAX_BYTES", 200_000)
    with pytest.raises(SourceError, match="larger"):
        picture(f"{site.url}/large.jpg")

    site.pages["/slow.jpg"] = bytes(100)
    monkeypatch.setattr(pictures, "_DEADLINE_S", -1.0)
    with pytest.raises(SourceError, match="takes longer"):
        picture(f"{site.url}/slow.jpg")
