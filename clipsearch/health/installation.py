"""This installation: versions, processor, devices, folders, settings. Opens no collection."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from clipsearch.encoder import Device
from clipsearch.encoder.devices import choose, cuda_majors, device_names, has_mps
from clipsearch.errors import ClipSearchError
from clipsearch.health.findings import Finding, gigabytes
from clipsearch.models import resolve
from clipsearch.settings import Settings, shown_address
from clipsearch.store import list_collections

_PACKAGES = ("torch", "onnxruntime", "transformers", "qdrant-edge-py", "qdrant-client", "numpy", "pillow")
_OPTIONAL = {"pillow-heif": "HEIC pictures of phones"}
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "bf16")
_LITTLE, _TOO_LITTLE = 2_000_000_000, 134_217_728  # bytes free; below the second the engine writes nothing


def examine_installation(settings: Settings) -> list[Finding]:
    """What there is to say without a collection. Uses no network but settings.url."""
    return [
        *_versions(),
        _processor(),
        _graphics(settings),
        *_folders(settings),
        *_engine(settings),
        _model(settings),
        *_settings(settings),
    ]


def _versions() -> Iterator[Finding]:
    yield Finding(
        "installation", "clipsearch", f"{_version('clipsearch')}, in {Path(__file__).resolve().parents[1]}"
    )
    yield Finding(
        "installation", "Python", f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    )
    for name in _PACKAGES:
        found = _version(name)
        if found is None:
            advice = "reinstall: pip install --force-reinstall clipsearch"
            yield Finding("installation", name, "not installed", "problem", advice)
        else:
            yield Finding("installation", name, found)
    for name, what in _OPTIONAL.items():
        missing = f'not installed; {what} need it: pip install "clipsearch[heic]"'
        yield Finding("installation", name, _version(name) or missing)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> Finding:
    """Model, cores and the instructions that matter here; only Linux tells which those are."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = f"{n_cores} core{'s' if n_cores > 1 else ''}"
    name, flags = _cpuinfo()
    if not flags:
        return Finding("installation", "processor", f"{name or platform.processor()}, {cores}")
    has = [feature for feature in _FEATURES if feature in flags]
    value = f"{name}, {cores}, {' '.join(has) or 'no vector instructions known here'}"
    facts = {"cores": n_cores, "features": has}
    if platform.machine() in ("x86_64", "AMD64") and "avx2" not in has:
        advice = "a processor without AVX2 encodes several times slower; use another machine for much"
        return Finding("installation", "processor", value, "warn", advice, facts)
    return Finding("installation", "processor", value, facts=facts)


def _cpuinfo() -> tuple[str, set[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", set()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip().lower(), value.strip())
    name = facts.get("model name") or platform.machine()
    return name, set((facts.get("flags") or facts.get("features") or "").split())


def _graphics(settings: Settings) -> Finding:
    try:
        devices = [choose(name) for name in device_names(settings.device)]
    except ClipSearchError as exc:
        return Finding("installation", "device", f"{settings.device}: not here", "problem", str(exc))
    value = ", ".join(f"{device.name} in {device.precision}" for device in devices)
    if devices == [Device("cpu", "fp32")] and settings.device == "auto":
        if Path("/proc/driver/nvidia/version").exists() and not cuda_majors():
            advice = (
                "there is an NVIDIA driver, but PyTorch shows no GPU: install its CUDA build (see "
                "pytorch.org), or say --device cpu"
            )
            return Finding("installation", "device", f"{value}; a GPU is not used", "warn", advice)
        value += "; no GPU here" if not cuda_majors() and not has_mps() else ""
    return Finding("installation", "device", value)


def _folders(settings: Settings) -> Iterator[Finding]:
    for name, folder in (("data folder", settings.data), ("cache folder", settings.cache)):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        value = f"{folder}, {gigabytes(free)} free" + ("" if there == folder else ", not made yet")
        facts = {"path": str(folder), "free_bytes": free}
        variable = "CLIPSEARCH_DATA" if name == "data folder" else "CLIPSEARCH_CACHE"
        if not there.is_dir() or not os.access(there, os.W_OK):
            advice = f"{there} cannot be written: mend its permissions, or set {variable} to another folder"
            yield Finding("installation", name, value, "problem", advice, facts)
        elif free < _LITTLE:
            state = "problem" if free < _TOO_LITTLE else "warn"
            advice = f"free some space, or set {variable} to a folder on another disk"
            yield Finding("installation", name, value, state, advice, facts)  # type: ignore[arg-type]
        else:
            yield Finding("installation", name, value, facts=facts)


def _engine(settings: Settings) -> Iterator[Finding]:
    try:
        if settings.url is not None:
            from clipsearch.store.server import server_version

            found = f"Qdrant {server_version(settings)} at {shown_address(settings.url)}"
        else:
            found = f"embedded, qdrant-edge-py {_version('qdrant-edge-py')}"
        yield Finding("installation", "engine", found)
        names = list_collections(settings)
    except (ClipSearchError, OSError) as exc:
        yield Finding("installation", "engine", "does not answer", "problem", _hidden(str(exc), settings))
        return
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    none = "none yet; make one with: clipsearch index FOLDER"
    yield Finding("installation", "collections", shown or none, facts={"names": names})


def _model(settings: Settings) -> Finding:
    """The model that a new collection would get."""
    try:
        folder = resolve(settings.model, download=False)
    except ClipSearchError:
        advice = f"it is fetched on first use; to have it now: clipsearch models pull {settings.model}"
        return Finding("installation", "default model", f"{settings.model}: not here yet", "warn", advice)
    return Finding("installation", "default model", f"{settings.model}, in {folder.path}")


def _settings(settings: Settings) -> Iterator[Finding]:
    for field in fields(settings):
        if field.name == "origins":
            continue
        value = getattr(settings, field.name)
        if field.name == "api_key" and value is not None:
            shown = "set (not shown)"
        elif field.name == "url" and value is not None:
            shown = shown_address(value)
        else:
            shown = "not set" if value is None else str(value)
        origin = settings.origins.get(field.name, "default")
        yield Finding("settings", field.name, f"{shown}  ({origin})", facts={"value": shown, "from": origin})


def _hidden(message: str, settings: Settings) -> str:
    """The message without the secrets that an address may hold, or the key."""
    if settings.url is not None:
        parts = urlsplit(settings.url)
        message = message.replace(settings.url, shown_address(settings.url))
        message = message.replace(parts.netloc, f"{parts.hostname}:{parts.port or 6333}")
        message = message.replace(f"?{parts.query}", "") if parts.query else message
    return message.replace(settings.api_key, "…") if settings.api_key else message
