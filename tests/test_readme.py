"""What the README tells people to type works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from clipsearch.cli import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {line.split("  #")[0] for line in re.findall(r"^\$ (clipsearch .*)$", README, re.MULTILINE)}
)


def test_the_readme_begins_with_the_two_commands() -> None:
    assert [line.split()[:3] for line in re.findall(r"^\$ (.*)$", README, re.MULTILINE)][:2] == [
        ["make", "demo", "#"],
        ["make", "test", "#"],
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_is_understood(command: str) -> None:
    arguments = shlex.split(command.split(" | ")[0])[1:]
    context = click.Context(cli)
    name, *rest = arguments
    sub = cli.get_command(context, name)
    while isinstance(sub, click.Group) and rest and sub.get_command(context, rest[0]):
        sub, rest = sub.get_command(context, rest[0]), rest[1:]
    assert sub is not None, f"no command {name!r}"
    rest = [str(ROOT) if word in ("~/Pictures", "parts.csv") else word for word in rest]
    sub.make_context(name, rest, resilient_parsing=False)


PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    ("code", "shows"), list(zip(PYTHON, ("hex bolt", "pictures like the first"), strict=True))
)
def test_the_python_in_the_readme_runs(demo_copy: Path, code: str, shows: str) -> None:
    assert len(code.strip().splitlines()) <= 8
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert shows in done.stdout


def test_every_file_the_readme_points_at_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_changelog_names_only_commands_that_exist() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    context = click.Context(cli)
    for name in re.findall(r"`clipsearch (\w+)", changelog):
        assert cli.get_command(context, name) is not None, name


def test_the_models_in_the_readme_are_those_of_the_table() -> None:
    from clipsearch.models import CARDS

    for card in CARDS:
        row = next(line for line in README.splitlines() if line.startswith(f"| `{card.name}`"))
        figures = [f"{x:.1f}" for x in (card.imagenet, card.coco) if x is not None]
        assert all(figure in row for figure in (str(card.dim), card.licence, *figures)), row
