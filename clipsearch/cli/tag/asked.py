"""What `clipsearch tag` was asked for, as one value. Does nothing but check that it fits together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from clipsearch.cli.options import settings_from
from clipsearch.settings import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's arguments and options, by their names."""

    vocabulary: Path
    pictures: tuple[Path, ...]
    out: Path | None
    write: bool
    field: str
    sidecars: bool
    sidecar_name: Literal["x.jpg.xmp", "x.xmp"]
    embed: bool
    dry_run: bool
    labels: Path | None
    labels_from: tuple[str, ...]
    precision: float | None
    threshold: float | None
    prompts: tuple[str, ...]
    template: tuple[str, ...]
    explain_prompts: bool
    filters: tuple[str, ...]
    limit: int | None
    as_json: bool
    jsonl: bool
    report: Path | None
    collection: str | None
    data: Path | None
    url: str | None
    device: str | None

    @property
    def templates(self) -> tuple[str, ...]:
        """Names of template sets, then own templates."""
        return (*self.prompts, *self.template)

    @property
    def changes_anything(self) -> bool:
        """Whether anything but a file of results is written."""
        return (self.write or self.sidecars or self.embed) and not self.dry_run

    def settings(self) -> Settings:
        """The settings with these options. Raises SettingsError."""
        return settings_from(collection=self.collection, data=self.data, url=self.url, device=self.device)

    def check(self) -> None:
        """Raise UsageError for options that do not go together."""
        if self.as_json and self.jsonl:
            raise click.UsageError("--json and --jsonl exclude each other.")
        if self.pictures and self.write:
            raise click.UsageError(
                "--write goes into a collection, and loose pictures are in none; index them first: "
                "clipsearch index FOLDER"
            )
        if self.pictures and (self.filters or self.limit):
            raise click.UsageError("--filter and --limit choose from a collection, not from loose pictures.")
        if self.dry_run and not (self.sidecars or self.embed or self.write):
            raise click.UsageError("--dry-run goes with --write, --sidecars or --embed.")
        if self.dry_run and (self.as_json or self.jsonl):
            raise click.UsageError("--dry-run prints what would change; leave --json and --jsonl out.")
        if self.field in self.labels_from:
            raise click.UsageError(
                f"--labels-from {self.field}: that field holds the tags that this command writes; name the "
                "field that a person filled, or keep the tags in another: --field NAME"
            )
        if self.report is not None and not self.report.absolute().parent.is_dir():
            raise click.UsageError(
                f"--report {self.report}: there is no folder {self.report.parent}; make it."
            )
        for template in self.template:
            if "{}" not in template:
                raise click.UsageError(f"--template {template!r} has no {{}} for the tag to stand in.")
