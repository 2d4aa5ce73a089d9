"""The only module that talks to the Hugging Face hub: its cache first, its network only if needed.

HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN are honoured, read at each call.
The cache is read without importing huggingface_hub (0.45 s). Knows nothing of architectures.
Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from clipsearch.errors import ModelError, ModelNotFound
from clipsearch.models.weights import missing_files

# Never *.bin, *.pt, *.onnx, nor other copies of the weights under other names (open_clip_model.safetensors).
NEEDED = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "preprocessor_config.json",
    "processor_config.json",
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_TRUE = {"1", "ON", "YES", "TRUE"}


def is_repo_id(name: str) -> bool:
    """Whether a name can be a hub id, ORG/NAME."""
    return bool(_REPO.fullmatch(name)) and ".." not in name and "--" not in name


def cache_folder() -> Path:
    """Where the hub keeps its files on this machine."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.path.expandvars(os.environ[variable])).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or str(Path(xdg) / "huggingface")
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def endpoint() -> str:
    """The hub's address."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_offline() -> bool:
    """Whether the user forbids network calls to the hub."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in _TRUE


def cached(repo: str, revision: str | None) -> Path | None:
    """The snapshot folder of a wholly cached model, named by its commit; None if anything is missing."""
    base = cache_folder() / f"models--{repo.replace('/', '--')}"
    commit = revision or "main"
    if not _COMMIT.fullmatch(commit):
        try:
            commit = (base / "refs" / commit).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
    snapshot = base / "snapshots" / commit
    return snapshot if _COMMIT.fullmatch(commit) and not missing_files(snapshot) else None


def download(repo: str, revision: str | None) -> Path:
    """Fetch the files of NEEDED into the cache, going on where a broken download stopped.

    Raises ModelNotFound if the model is not there or the hub cannot be reached, ModelError if it has
    no safetensors or the disk is full.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        folder = snapshot_download(
            repo,
            revision=revision,
            cache_dir=cache_folder(),
            endpoint=endpoint(),
            allow_patterns=list(NEEDED),
        )
    except GatedRepoError as exc:
        raise ModelNotFound(
            f"model {repo} is gated: ask for access at {endpoint()}/{repo}, then set HF_TOKEN to your token"
        ) from exc
    except RevisionNotFoundError as exc:
        raise ModelNotFound(f"model {repo} has no revision {revision!r} at {endpoint()}") from exc
    except RepositoryNotFoundError as exc:
        raise ModelNotFound(
            f"there is no model {repo} at {endpoint()} that you may read; check the spelling "
            "(clipsearch models lists known ones), or set HF_TOKEN if it is private"
        ) from exc
    except Exception as exc:  # the hub raises its own, httpx's and OSError
        raise _unreachable(repo, exc) from exc
    path = Path(folder)
    missing = missing_files(path)
    if missing:
        raise _incomplete(repo, missing)
    return path


def not_cached(repo: str, revision: str | None, why: str) -> ModelNotFound:
    """The error for a model that is not in the cache and may not be fetched."""
    at = f"@{revision}" if revision else ""
    base = cache_folder() / f"models--{repo.replace('/', '--')}"
    found = "some of its files are" if base.is_dir() else "it is not"
    return ModelNotFound(
        f"model {repo}{at} cannot be used: {found} in the cache {cache_folder()}, and {why}. "
        f"On a machine with network run: clipsearch models pull {repo}{at} — "
        "then copy that cache here, or give the model's folder as --model local-dir:PATH"
    )


def _unreachable(repo: str, exc: Exception) -> ModelError:
    if isinstance(exc, OSError) and exc.errno == 28:  # ENOSPC
        return ModelError(
            f"no space left in {cache_folder()} for model {repo}; free some, or set HF_HOME to a larger disk "
            "and run the same command again: it goes on where it stopped"
        )
    reason = str(exc).strip().splitlines()[0] if str(exc).strip() else ""
    return ModelNotFound(
        f"model {repo} is not wholly in the cache {cache_folder()} and could not be fetched from "
        f"{endpoint()} ({type(exc).__name__}: {reason[:200]}). Check the network, HF_ENDPOINT and HF_TOKEN, "
        f"then run again: clipsearch models pull {repo} — it goes on where it stopped"
    )


def _incomplete(repo: str, missing: list[str]) -> ModelError:
    if "model.safetensors" in missing:
        return ModelError(
            f"model {repo} has no safetensors weights at {endpoint()}, and clipsearch opens no pickles "
            "(*.bin), which can run code. The hub's converter often has opened a pull request with them: "
            f"look under {endpoint()}/{repo}/discussions and name it, for instance --model {repo}@refs/pr/1"
        )
    return ModelError(
        f"model {repo} at {endpoint()} lacks {', '.join(missing)}; choose a CLIP or SigLIP model"
    )
