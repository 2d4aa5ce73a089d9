"""A command with subcommands beside it: the first argument that names none belongs to the command itself.

Knows nothing of tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from clipsearch.cli.lazy import LazyGroup


class CommandWithOthers(LazyGroup):
    """`sections` maps a heading of the help to the names of its options; the rest stand under "Options"."""

    allow_extra_args = False
    allow_interspersed_args = True

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, no_args_is_help=True, **kwargs)
        self.sections = sections

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command itself, or of the group of the others."""
        if args and args[0] in self.lazy:
            group = LazyGroup(self.name, lazy=self.lazy, context_settings=self.context_settings)
            return group.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        return click.Command.invoke(self, ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return click.Command.collect_usage_pieces(self, ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = {
            param.name: record
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None
        }
        for heading, names in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([options.pop(name) for name in names])
        with formatter.section("Options"):
            formatter.write_dl(list(options.values()))
        self.format_commands(ctx, formatter)
