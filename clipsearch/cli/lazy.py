"""A click group whose commands are named as strings and imported on use.

Knows nothing of what the commands do; `--help` of the group imports none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from clipsearch.errors import SettingsError


def outer(name: str) -> Any:
    """What "module:attribute" names, in a package that stands on this one and so is imported only on use."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


class LazyGroup(click.Group):
    """`lazy` maps a command's name to ("module:attribute", "one line of help")."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module_name, _, attribute = self.lazy[cmd_name][0].partition(":")
        module = importlib.import_module(module_name)
        command = getattr(module, attribute, None)
        if not isinstance(command, click.Command):
            raise SettingsError(
                f"`import {module_name}` found {module.__file__}, which is not clipsearch's; another package "
                f"of that name hides ours. Run clipsearch from another folder, or rename that package."
            )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except ModuleNotFoundError as exc:
            root = self.lazy.get(args[0], ("",))[0].split(".")[0] if args else ""
            if exc.name is None or not exc.name.startswith(("indexer", "ui")):
                raise
            found = getattr(importlib.import_module(root), "__file__", None) or "a folder of that name"
            raise SettingsError(
                f"`import {root}` found {found}, which is not clipsearch's; another package of that name "
                "hides ours. Run clipsearch from another folder, or rename that package."
            ) from exc

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])
