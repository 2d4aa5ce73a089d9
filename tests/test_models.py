"""Models by name: the table, folders, the hub's cache without network, and damaged files."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from own_hub import COMMIT, HubHandler, put_in_cache
from tiny_models import make_clip

from clipsearch import models
from clipsearch.errors import ModelError, ModelNotFound
from clipsearch.models import CARDS, hub

PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "published_figures.json"


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("model") / "clip")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to open a connection is recorded and refused."""
    attempts: list[object] = []

    def refuse(self: socket.socket, address: object) -> None:
        attempts.append(address)
        raise OSError("the network is blocked in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: refuse(None, args))  # type: ignore[arg-type]
    return attempts


@pytest.fixture
def hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "hf" / "hub"


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, hub_cache: Path) -> None:
    """huggingface_hub reads HF_HUB_OFFLINE once, when it is imported: here it counts as unset."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_the_table_holds_the_models_the_readme_promises() -> None:
    names = {card.name for card in CARDS}
    assert {
        "starter",
        "google/siglip2-base-patch32-256",
        "google/siglip2-base-patch16-256",
        "google/siglip2-so400m-patch14-384",
        "openai/clip-vit-base-patch32",
        "openai/clip-vit-large-patch14",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "google/siglip-base-patch16-256-multilingual",
    } <= names
    assert len(names) == len(CARDS)


def test_the_tables_figures_are_the_published_ones() -> None:
    if not PUBLISHED.is_file():
        pytest.skip(f"needs the published figures at {PUBLISHED}")
    published = json.loads(PUBLISHED.read_text())["models"]
    by_repo = {value.get("hf_guess") or name: value for name, value in published.items()}
    for card in CARDS:
        if card.name != "starter":
            figures = by_repo[card.repo]
            assert card.imagenet == pytest.approx(100 * figures["zeroshot_top1"]["imagenet1k"], abs=0.06)
            assert card.coco == pytest.approx(100 * figures["retrieval"]["mscoco5k_t2i_R@1"], abs=0.06)


def test_the_model_named_best_at_japanese_is_so_among_those_transformers_loads() -> None:
    if not PUBLISHED.is_file():
        pytest.skip(f"needs the published figures at {PUBLISHED}")
    published = json.loads(PUBLISHED.read_text())["models"].values()
    japanese = {m["hf_guess"]: m["japanese"]["xm3600_ja_t2i_R@1"] for m in published if m.get("japanese")}
    del japanese[None]  # open_clip's own architecture
    assert max(japanese, key=lambda repo: japanese[repo]) == "google/siglip-base-patch16-256-multilingual"


def test_a_folder_is_a_model_by_path_and_by_local_dir(clip_folder: Path) -> None:
    by_path = models.resolve(str(clip_folder))
    assert by_path == models.resolve(f"local-dir:{clip_folder}")
    assert (by_path.name, by_path.path, by_path.revision) == (f"local-dir:{clip_folder}", clip_folder, "")


def test_a_folders_name_resolves_again_from_elsewhere(
    clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip_folder.parent)
    name = models.resolve("local-dir:clip").name
    monkeypatch.chdir(tmp_path)
    assert models.resolve(name).path == clip_folder


def test_a_cached_model_makes_no_network_call(
    clip_folder: Path, hub_cache: Path, no_network: list[object]
) -> None:
    snapshot = put_in_cache(hub_cache, "someone/some-clip", clip_folder)
    found = models.resolve("someone/some-clip")
    assert (found.name, found.path, found.revision) == ("someone/some-clip", snapshot, COMMIT)
    assert models.verify("someone/some-clip") == found
    assert no_network == []


def test_a_cached_model_serves_where_the_network_is_forbidden(
    clip_folder: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = put_in_cache(hub_cache, "someone/some-clip", clip_folder)
    assert models.resolve("someone/some-clip").path == snapshot
    assert models.pull("someone/some-clip").path == snapshot


def test_a_revision_may_be_named(clip_folder: Path, hub_cache: Path, no_network: list[object]) -> None:
    pull_request, commit = "a" * 40, "b" * 40
    put_in_cache(hub_cache, "someone/some-clip", clip_folder, commit=pull_request, ref="refs/pr/3")
    put_in_cache(hub_cache, "someone/some-clip", clip_folder, commit=commit)
    assert models.resolve("someone/some-clip@refs/pr/3").revision == pull_request
    assert models.resolve(f"someone/some-clip@{commit}").revision == commit
    assert no_network == []


def test_a_pinned_table_model_is_taken_at_its_pin(
    clip_folder: Path, hub_cache: Path, no_network: list[object]
) -> None:
    pin = models.card("openai/clip-vit-base-patch32")
    assert pin is not None and pin.revision is not None
    put_in_cache(hub_cache, pin.repo, clip_folder, commit=pin.revision, ref="unused")
    assert models.resolve(pin.name).revision == pin.revision
    assert no_network == []


def test_offline_and_not_cached_says_where_it_looked_and_what_to_do(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[object]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFound) as caught:
        models.resolve("google/siglip2-base-patch32-256")
    message = str(caught.value)
    assert str(hub_cache) in message and "HF_HUB_OFFLINE" in message
    assert "clipsearch models pull google/siglip2-base-patch32-256" in message
    assert no_network == []


def test_an_unreachable_hub_is_named(hub_cache: Path, online: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # a port nobody listens on
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(ModelNotFound) as caught:
        models.resolve("someone/some-clip")
    assert f"127.0.0.1:{port}" in str(caught.value) and str(hub_cache) in str(caught.value)


def test_an_incomplete_cache_is_not_taken_for_a_model(
    clip_folder: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = put_in_cache(hub_cache, "someone/some-clip", clip_folder)
    (snapshot / "model.safetensors").unlink()  # the download broke off
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFound, match="some of its files are in the cache"):
        models.resolve("someone/some-clip")


@pytest.fixture
def own_hub(monkeypatch: pytest.MonkeyPatch, online: None, tmp_path: Path) -> Iterator[type[HubHandler]]:
    """A real HTTP server on this machine that HF_ENDPOINT points at."""

    class Hub(HubHandler):
        folder = tmp_path / "repository"
        requests: ClassVar[list[tuple[str, str]]] = []

    handler = Hub
    handler.folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_only_needed_files_are_fetched_and_then_the_network_is_left_alone(
    own_hub: type[HubHandler], clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clip_folder, own_hub.folder, dirs_exist_ok=True)
    for name in ("pytorch_model.bin", "open_clip_model.safetensors", "README.md", "handler.py"):
        (own_hub.folder / name).write_bytes(b"not wanted")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    found = models.pull("someone/remote")
    assert sorted(p.name for p in found.path.iterdir()) == sorted(p.name for p in clip_folder.iterdir())
    assert (found.revision, own_hub.token) == (COMMIT, "Bearer hf_test")
    assert models.verify("someone/remote").path == found.path
    before = len(own_hub.requests)
    assert models.resolve("someone/remote") == found
    assert len(own_hub.requests) == before


def test_a_model_with_pickles_only_is_refused_with_the_way_out(
    own_hub: type[HubHandler], clip_folder: Path
) -> None:
    shutil.copytree(clip_folder, own_hub.folder, dirs_exist_ok=True)
    (own_hub.folder / "model.safetensors").rename(own_hub.folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no pickles.*someone/remote/discussions.*refs/pr/1"):
        models.pull("someone/remote")
    assert not [path for _, path in own_hub.requests if path.endswith(".bin")]


def test_a_model_the_hub_does_not_have_is_said_so(own_hub: type[HubHandler]) -> None:
    with pytest.raises(ModelNotFound, match="there is no model someone/else at http://127"):
        models.pull("someone/else")


def test_a_local_folder_with_pickles_only_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clip_folder, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only pytorch_model\.bin.*save_pretrained"):
        models.resolve(str(copy))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no-such-model", "clipsearch models"),
        ("", "empty"),
        ("siglip2-base-patch32-256", "Did you mean google/siglip2-base-patch32-256"),
        ("local-dir:/nowhere/at/all", "no model folder at /nowhere/at/all"),
        ("./nowhere", "no model folder at nowhere"),
        ("../../etc/passwd", "no model folder"),
    ],
)
def test_a_name_that_means_nothing_is_explained_without_network(
    name: str, expected: str, no_network: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match=expected):
        models.resolve(name)
    assert no_network == []


def test_a_folder_that_lacks_files_names_them(clip_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clip_folder, tmp_path / "copy")
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="lacks a preprocessor"):
        models.resolve(str(copy))


def test_verify_finds_a_damaged_blob(clip_folder: Path, hub_cache: Path) -> None:
    snapshot = put_in_cache(hub_cache, "someone/some-clip", clip_folder)
    blob = (snapshot / "model.safetensors").resolve()
    data = bytearray(blob.read_bytes())
    data[-10] ^= 0xFF
    blob.write_bytes(data)
    with pytest.raises(ModelError, match=r"damaged.*models pull someone/some-clip"):
        models.verify("someone/some-clip")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_verify_finds_a_cut_off_file(clip_folder: Path, tmp_path: Path, keep: int) -> None:
    copy = shutil.copytree(clip_folder, tmp_path / "copy")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        models.verify(str(copy))


def test_verify_finds_a_config_that_is_no_json(clip_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clip_folder, tmp_path / "copy")
    (copy / "config.json").write_text('{"model_type": ')
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        models.verify(str(copy))


def test_a_model_in_shards_is_whole_only_with_all_of_them(clip_folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(clip_folder, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    halves = [dict(list(tensors.items())[i::2]) for i in range(2)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, copy / name)
    weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    folder = models.resolve(str(copy))
    assert set(models.tensor_table(folder.path)) == set(tensors)
    (copy / names[1]).unlink()
    with pytest.raises(ModelError, match="lacks model-00002-of-00002"):
        models.resolve(str(copy))


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_a_scalar_is_read_in_every_precision(tmp_path: Path, dtype: str) -> None:
    import torch
    from safetensors.torch import save_file

    kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    save_file({"logit_scale": torch.tensor(4.5, dtype=kinds[dtype])}, tmp_path / "model.safetensors")
    entry = models.tensor_table(tmp_path)["logit_scale"]
    assert (entry.dtype, models.read_scalar(entry)) == (dtype, 4.5)


def test_a_blob_of_the_hub_needs_no_hashing(
    clip_folder: Path, hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = hashlib.sha256((clip_folder / "model.safetensors").read_bytes()).hexdigest()
    snapshot = put_in_cache(hub_cache, "someone/some-clip", clip_folder)
    monkeypatch.setattr("clipsearch.models.hashes._compute", None)  # calling it would fail
    assert models.weights_sha256([snapshot / "model.safetensors"], tmp_path) == expected


def test_a_files_hash_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, cache = tmp_path / "weights", tmp_path / "cache"
    file.write_bytes(b"one")
    first = models.file_sha256(file, cache)
    with monkeypatch.context() as patch:
        patch.setattr("clipsearch.models.hashes._compute", None)
        assert models.file_sha256(file, cache) == first
    file.write_bytes(b"other")
    assert models.file_sha256(file, cache) == hashlib.sha256(b"other").hexdigest()
    (cache / "hashes.json").write_text("damaged")
    assert models.file_sha256(file, cache) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HF_HUB_CACHE": "/a/hub"}, "/a/hub"),
        ({"HF_HOME": "/a"}, "/a/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"HOME": "/h"}, "/h/.cache/huggingface/hub"),
    ],
)
def test_the_hubs_cache_is_where_the_hubs_own_rule_puts_it(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(hub.cache_folder()) == expected
