"""Standing tests of the house: the layers, the public names, what is imported when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import clipsearch
from clipsearch.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "torch",
    "transformers",
    "qdrant_client",
    "qdrant_edge",
    "pyarrow",
    "streamlit",
    "PIL",
    "onnxruntime",
    "yaml",
    "rdflib",
)


def test_imports_go_down_only() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_public_names_are_these() -> None:
    assert clipsearch.__all__ == [
        "ClipSearchError",
        "Encoder",
        "Fingerprint",
        "Hit",
        "Page",
        "Query",
        "Searcher",
        "Settings",
        "Tag",
        "Tagger",
        "Vocabulary",
        "__version__",
        "open",
        "read_vocabulary",
    ]
    assert all(getattr(clipsearch, name) is not None for name in clipsearch.__all__)


def loaded_by(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], *[[name, "--help"] for name in COMMANDS]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"from clipsearch.cli import cli\ncli.main({arguments!r}, standalone_mode=False)"
    assert loaded_by(code) == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import clipsearch") == set()


def test_every_command_has_help_with_an_example_and_is_in_the_readme() -> None:
    import click

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help, name
        assert f"clipsearch {name}" in command.help, f"{name} --help shows no example"
        assert f"clipsearch {name}" in readme, f"the README does not tell of {name}"
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{name} {option.name} has no help"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = clipsearch.nothing  # type: ignore[attr-defined]
