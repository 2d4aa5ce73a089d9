"""Models by name: the table of known checkpoints, and any model's folder on this disk.

Knows no torch. The hub's network is used only for a model that is not cached.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from clipsearch.errors import ModelError, ModelNotFound
from clipsearch.models import hub
from clipsearch.models.cards import CARDS, ModelCard, card
from clipsearch.models.hashes import file_sha256, recorded_sha256, weights_sha256
from clipsearch.models.same_model import require_same_model
from clipsearch.models.weights import (
    WEIGHTS,
    missing_files,
    pickles,
    read_json,
    read_scalar,
    tensor_table,
    weight_files,
)

__all__ = [
    "CARDS",
    "LOCAL_PREFIX",
    "STARTER",
    "STARTER_FOLDER",
    "ModelCard",
    "ModelFolder",
    "card",
    "file_sha256",
    "pull",
    "read_json",
    "read_scalar",
    "require_same_model",
    "resolve",
    "tensor_table",
    "verify",
    "weight_files",
    "weights_sha256",
]

STARTER = "starter"
STARTER_FOLDER = Path(__file__).resolve().parents[1] / "demo" / "starter"
LOCAL_PREFIX = "local-dir:"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this disk. name: as a collection remembers it; revision: hub commit, or ""."""

    name: str
    path: Path
    revision: str


def resolve(name: str, *, download: bool = True) -> ModelFolder:
    """The folder of `starter`, a table name, ORG/NAME or ORG/NAME@REVISION of the hub, or a local folder.

    A cached model makes no network call. download=False never makes one.
    Raises ModelNotFound, which says where it looked and what to do, or ModelError for unusable files.
    """
    local = _local(name)
    if local is not None:
        return local
    repo, revision = _repo(name)
    snapshot = hub.cached(repo, revision)
    if snapshot is None:
        if hub.is_offline():
            raise hub.not_cached(repo, revision, "HF_HUB_OFFLINE forbids fetching it")
        if not download:
            raise hub.not_cached(repo, revision, "fetching was not asked for")
        snapshot = hub.download(repo, revision)
    return ModelFolder(name, snapshot, snapshot.name)


def pull(name: str) -> ModelFolder:
    """Fetch a model, or its newest version if it is cached; the folder it is in now.

    Offline, and for local models, as resolve().
    """
    local = _local(name)
    if local is not None or hub.is_offline():
        return local or resolve(name)
    snapshot = hub.download(*_repo(name))
    return ModelFolder(name, snapshot, snapshot.name)


def verify(name: str) -> ModelFolder:
    """The model's folder after reading every byte of its weights.

    Checked: all files are there, JSON files parse, safetensors are whole, and the weights have the
    SHA-256 that the hub (or, for the starter, its compiled towers) recorded. Raises ModelError.
    """
    folder = resolve(name, download=False)
    for path in folder.path.glob("*.json"):
        read_json(path)
    tensor_table(folder.path)
    for path in weight_files(folder.path):
        actual, recorded = file_sha256(path), recorded_sha256(path)
        if recorded is not None and actual != recorded:
            raise ModelError(
                f"{path} has SHA-256 {actual[:12]}…, the hub recorded {recorded[:12]}…: the file is damaged. "
                f"Delete {path.resolve()} and run: clipsearch models pull {name}"
            )
    if folder.name == STARTER:
        _verify_starter(folder.path)
    return folder


def _verify_starter(path: Path) -> None:
    manifest = path / "compiled" / "manifest.json"
    recorded = read_json(manifest).get("weights_sha256") if manifest.is_file() else None
    if recorded is not None and recorded != file_sha256(path / WEIGHTS):
        raise ModelError(
            f"the starter model in {path} is damaged; reinstall: pip install --force-reinstall clipsearch"
        )


def _local(name: str) -> ModelFolder | None:
    """The folder a name means on this disk; None if it can only be a hub model."""
    if not name.strip():
        raise ModelNotFound("the model's name is empty; see: clipsearch models")
    if name == STARTER:
        if missing := missing_files(STARTER_FOLDER):
            raise ModelNotFound(
                f"the starter model is not in {STARTER_FOLDER} (missing: {', '.join(missing)}); "
                "install clipsearch again, or choose another: clipsearch models"
            )
        return ModelFolder(STARTER, STARTER_FOLDER, "")
    if name.startswith(LOCAL_PREFIX):
        return _checked(Path(name.removeprefix(LOCAL_PREFIX)).expanduser())
    if card(name) is not None:
        return None
    path = Path(name).expanduser()
    if (path / "config.json").is_file() or path.is_absolute() or name.startswith(("./", "../", "~")):
        return _checked(path)
    return None


def _checked(path: Path) -> ModelFolder:
    if not path.is_dir():
        raise ModelNotFound(f"there is no model folder at {path}; check the path")
    missing = missing_files(path)
    if WEIGHTS in missing and pickles(path):
        raise ModelError(
            f"the model in {path} has only {pickles(path)[0]}, and clipsearch opens no "
            "pickles, which can run code. Save it as safetensors: "
            "transformers' model.save_pretrained(FOLDER) does"
        )
    if missing:
        raise ModelError(
            f"the model folder {path} lacks {', '.join(missing)}; it must be a Hugging Face model folder"
        )
    path = path.resolve()
    return ModelFolder(f"{LOCAL_PREFIX}{path}", path, "")


def _repo(name: str) -> tuple[str, str | None]:
    """Hub id and revision of a name."""
    known = card(name)
    if known is not None:
        return known.repo, known.revision
    repo, _, revision = name.partition("@")
    if not hub.is_repo_id(repo):
        near = difflib.get_close_matches(name, [c.name for c in CARDS], n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise ModelNotFound(
            f"model {name!r} is not in the table, is no folder with a config.json, and is no hub id "
            f"(ORG/NAME). {hint}See: clipsearch models"
        )
    known = card(repo)
    pinned = known.revision if known is not None else None
    return repo, revision or pinned
