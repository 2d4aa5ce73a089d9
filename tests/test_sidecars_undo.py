"""A run taken back: to the byte, around what people did since, under a later run, after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from test_sidecars_files import HUMAN, TAGS, folder, journal, states, write, xmps

from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import undo


def test_a_run_is_taken_back_to_the_byte(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "y.jpg", "y.jpg.xmp")
    run = journal(tmp_path)
    write(tmp_path, "x.jpg", "y.jpg", into=run)
    assert states(run) == ["restored", "restored"]
    assert xmps(tmp_path) == ["y.jpg.xmp"]
    assert (tmp_path / "y.jpg.xmp").read_text(encoding="utf-8") == HUMAN
    assert states(run) == ["untouched", "untouched"]


def test_a_large_sidecar_comes_back_too(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg")
    long = HUMAN.replace('"no"', f'"{os.urandom(150_000).hex()}"')
    (tmp_path / "x.jpg.xmp").write_text(long, encoding="utf-8")
    run = journal(tmp_path)
    write(tmp_path, "x.jpg", into=run)
    assert (run.folder / "kept").is_dir()
    assert states(run) == ["restored"]
    assert (tmp_path / "x.jpg.xmp").read_text(encoding="utf-8") == long


def test_what_people_did_since_the_run_stays(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.xmp", "gone.jpg")
    run = journal(tmp_path)
    write(tmp_path, "x.jpg", "gone.jpg", into=run)
    sidecar = tmp_path / "x.jpg.xmp"
    sidecar.write_text(sidecar.read_text(encoding="utf-8").replace("mine", "yours"), encoding="utf-8")
    (tmp_path / "gone.jpg.xmp").unlink()
    assert states(run) == ["partly", "untouched"]
    assert sidecar.read_text(encoding="utf-8") == HUMAN.replace("mine", "yours")
    assert states(run) == ["untouched", "untouched"]


def test_a_run_under_a_later_one_leaves_that_ones_tags(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.xmp")
    first, second = journal(tmp_path), journal(tmp_path)
    write(tmp_path, "x.jpg", into=first)
    write(tmp_path, "x.jpg", tags=TAGS[1:], into=second)
    content = (tmp_path / "x.jpg.xmp").read_bytes()
    (outcome,) = undo(first)
    assert outcome.state == "superseded"
    assert second.run in outcome.reason
    assert (tmp_path / "x.jpg.xmp").read_bytes() == content
    assert (states(second), states(first)) == (["restored"], ["restored"])
    assert (tmp_path / "x.jpg.xmp").read_text(encoding="utf-8") == HUMAN


def test_a_killed_run_is_taken_back(tmp_path: Path) -> None:
    names = [f"{n:04}.jpg" for n in range(400)]
    folder(tmp_path, *names, "0003.jpg.xmp")
    run = journal(tmp_path)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from clipsearch.tagging.journal import Journal\n"
        "from clipsearch.tagging.sidecars import Sidecars, files\n"
        "from clipsearch.types import Tag\n"
        "root = Path(sys.argv[1]); put = files.put; done = []\n"
        "def killed(*arguments):\n"
        "    done.append(1)\n"
        "    if len(done) == 200: os._exit(9)\n"
        "    put(*arguments)\n"
        "files.put = killed\n"
        "one = Sidecars(Journal.open(root / 'collection', sys.argv[2]), model='m')\n"
        "list(one.write(one.plan([(path, [Tag('x', 0.5)]) for path in sorted(root.glob('*.jpg'))])))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path, run.run], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert 100 < len(xmps(tmp_path)) < 300
    found = states(Journal.open(tmp_path / "collection", run.run))
    assert set(found) == {"restored", "untouched"}
    assert [name for name in xmps(tmp_path) if not name.endswith(".tmp")] == ["0003.jpg.xmp"]
    assert (tmp_path / "0003.jpg.xmp").read_text(encoding="utf-8") == HUMAN
