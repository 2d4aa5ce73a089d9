"""The settings: defaults < clipsearch.toml < CLIPSEARCH_* < option, each knowing where it came from.

Owns names, defaults and checks of settings. Opens nothing else and imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clipsearch.errors import SettingsError

DEFAULT_MODEL = "google/siglip2-base-patch32-256"
DEFAULT_COLLECTION = "main"
CONFIG_NAME = "clipsearch.toml"
_VARIABLES = {"url": ("CLIPSEARCH_URL", "QDRANT_URL"), "api_key": ("CLIPSEARCH_API_KEY", "QDRANT_API_KEY")}
_DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are and which model and collection are meant. `origins` says who set each."""

    data: Path
    cache: Path
    url: str | None = None  # of a Qdrant server; None: the embedded engine
    api_key: str | None = field(default=None, repr=False)
    collection: str = DEFAULT_COLLECTION
    model: str = DEFAULT_MODEL
    device: str = "auto"
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, *, config: Path | None = None, **options: Any) -> Settings:
        """Settings from all four places; an option that is None counts as not given.

        Raises SettingsError for an unknown key, a wrong type or an unusable value.
        """
        values: dict[str, Any] = {"data": _data_folder(), "cache": _cache_folder()}
        origins = dict.fromkeys((f.name for f in fields(cls) if f.name != "origins"), "default")
        layers = [_from_file(config), _from_environment(), _from_options(options)]
        for layer in layers:
            for name, (value, origin) in layer.items():
                values[name], origins[name] = value, origin
        settings = cls(**_checked(values, origins), origins=origins)
        return settings

    def collection_dir(self, name: str | None = None) -> Path:
        """The folder of a collection's files here: the embedded engine's, or a server run's ledger."""
        name = name or self.collection
        if self.url is None:
            return self.data / "collections" / name
        parts = urlsplit(self.url)
        return self.data / "servers" / f"{parts.hostname}_{parts.port or 6333}" / name


def _data_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "clipsearch"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "clipsearch"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "clipsearch"


def _cache_folder() -> Path:
    if sys.platform == "win32":
        return _data_folder() / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "clipsearch"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clipsearch"


def _names() -> list[str]:
    return [f.name for f in fields(Settings) if f.name != "origins"]


def _from_file(config: Path | None) -> dict[str, tuple[Any, str]]:
    path = config or Path(CONFIG_NAME)
    if not path.is_file():
        if config is not None:
            raise SettingsError(f"no settings file at {config}; leave --config out or name one that exists")
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not valid TOML: {exc}; mend it or move it away") from exc
    unknown = sorted(set(table) - set(_names()))
    if unknown:
        raise SettingsError(f"{path} has an unknown setting {unknown[0]!r}; known: {', '.join(_names())}")
    base = path.resolve().parent
    for name in ("data", "cache"):
        if isinstance(table.get(name), str):
            table[name] = str(base / Path(table[name]).expanduser())
    return {name: (value, str(path)) for name, value in table.items()}


def _from_environment() -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for name in _names():
        for variable in _VARIABLES.get(name, (f"CLIPSEARCH_{name.upper()}",)):
            if os.environ.get(variable):
                found[name] = (os.environ[variable], variable)
                break
    return found


def _from_options(options: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    unknown = sorted(set(options) - set(_names()))
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0]!r}; known: {', '.join(_names())}")
    return {k: (v, f"--{k.replace('_', '-')}") for k, v in options.items() if v is not None}


def _checked(values: dict[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    for name, value in values.items():
        if not isinstance(value, (str, Path)):
            raise SettingsError(f"{name} from {origins[name]} must be text, got {value!r}")
    for name in ("data", "cache"):
        values[name] = Path(values[name]).expanduser()
    check_collection_name(values.get("collection", DEFAULT_COLLECTION))
    device = str(values.get("device", "auto"))
    if any(part.strip().split(":")[0] not in _DEVICES for part in device.split(",")):
        raise SettingsError(
            f"device {device!r} (from {origins['device']}) is not one of {', '.join(_DEVICES)}"
        )
    url = values.get("url")
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise SettingsError(
            f"url {url!r} (from {origins['url']}) is not a server's address; write http://127.0.0.1:6333, "
            "or unset it to use the embedded engine"
        )
    return values


def check_collection_name(name: str) -> str:
    """The name itself if it can name a folder and a Qdrant collection; SettingsError otherwise."""
    good = name and len(name) <= 64 and name[0].isalnum() and all(c.isalnum() or c in "-_." for c in name)
    if not good or not name.isascii():
        raise SettingsError(
            f"collection name {name!r} cannot be used: letters, digits, '-', '_' and '.', "
            "starting with a letter or digit, 64 at most"
        )
    return name


def shown_address(url: str) -> str:
    """The address without a user's name, password or query, which may be secrets."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
