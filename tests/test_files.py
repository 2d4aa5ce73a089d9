"""Files are replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipsearch.files import replaced


@pytest.mark.parametrize("name", ["a.json", "ボルト" * 26 + ".jpg.xmp", "x" * 255])
def test_a_file_of_any_name_is_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("before", encoding="utf-8")
    with replaced(path) as fresh:
        fresh.write_text("after", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "before"
    assert path.read_text(encoding="utf-8") == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(ValueError, match="no"), replaced(path) as fresh:
        fresh.write_text("half", encoding="utf-8")
        raise ValueError("no")
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]
