"""Compiled towers: equal to PyTorch, found without it, checked, remade, shipped, and safe to race for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import SIZE, make_clip, make_siglip, make_siglip2

from clipsearch.encoder import Encoder, compiled, compiling, export, export_shipped
from clipsearch.encoder.devices import Device
from clipsearch.errors import EncoderError

TEXTS = ["a photo of a cat", "BRASS hex bolt, M8", "真鍮製の六角ボルト", "", "word " * 40]
FAMILIES: dict[str, Callable[[Path], Path]] = {
    "clip": lambda folder: make_clip(folder, legacy_eos=True),
    "siglip": make_siglip,
    "siglip2": make_siglip2,
}
Made = Callable[[str], tuple[Path, Path, NDArray[np.float32], NDArray[np.float32]]]


def some_pixels(n: int = 5) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A family's folder, a cache with its compiled towers, and PyTorch's text and picture vectors."""
    base = tmp_path_factory.mktemp("compiled")
    done: dict[str, tuple[Path, Path, NDArray[np.float32], NDArray[np.float32]]] = {}

    def make(family: str) -> tuple[Path, Path, NDArray[np.float32], NDArray[np.float32]]:
        if family not in done:
            folder, cache = FAMILIES[family](base / family), base / f"{family}-cache"
            with Encoder.open(str(folder), cache=cache) as encoder:
                texts, images = encoder.encode_texts(TEXTS), encoder.encode_pixels(some_pixels())
                encoder.compile()
            done[family] = (folder, cache, texts, images)
        return done[family]

    return make


@pytest.fixture
def clip_copy(made: Made, tmp_path: Path) -> tuple[Path, Path]:
    """A folder and a filled cache of one's own, to damage."""
    folder, cache, _, _ = made("clip")
    return (
        Path(shutil.copytree(folder, tmp_path / "model")),
        Path(shutil.copytree(cache, tmp_path / "cache")),
    )


def uses_torch(encoder: Encoder) -> bool:
    return encoder._torch is not None


def manifest_of(cache: Path) -> Path:
    (found,) = (cache / "compiled").glob("*/manifest.json")
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_towers_give_pytorchs_vectors_without_pytorch(family: str, made: Made) -> None:
    folder, cache, texts, images = made(family)
    with Encoder.open(str(folder), cache=cache) as encoder:
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), texts, atol=1e-5)
        one_by_one = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
        np.testing.assert_allclose(one_by_one, texts, atol=1e-5)
        np.testing.assert_allclose(encoder.encode_pixels(some_pixels()), images, atol=1e-5)
        np.testing.assert_allclose(encoder.encode_pixels(some_pixels()[:1]), images[:1], atol=1e-5)
        assert not uses_torch(encoder)
    manifest = json.loads(manifest_of(cache).read_text())
    for tower in ("text", "image"):
        assert manifest["towers"][tower]["cosine"] >= compiling.MIN_COSINE
    assert set(manifest["towers"]["image"]["seconds"]) == {"onnx", "torch"}
    assert not list(manifest_of(cache).parent.glob(".draft*"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_query_imports_neither_torch_nor_transformers(family: str, made: Made) -> None:
    folder, cache, texts, _ = made(family)
    code = (
        "import sys, json; from pathlib import Path; from clipsearch.encoder import Encoder\n"
        f"encoder = Encoder.open({str(folder)!r}, cache=Path({str(cache)!r}))\n"
        f"print(json.dumps(encoder.encode_texts([{TEXTS[1]!r}])[0].tolist()))\n"
        "heavy = {'torch', 'transformers', 'onnx', 'onnxscript', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), texts[1], atol=1e-5)


def test_compiling_again_does_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache, _, _ = made("clip")
    before = manifest_of(cache).stat().st_mtime_ns
    monkeypatch.setattr(compiling, "compile_towers", None)  # calling it would fail
    with Encoder.open(str(folder), cache=cache) as encoder:
        encoder.compile()
    assert manifest_of(cache).stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "manifest"])
def test_a_damaged_tower_is_not_used_and_is_made_anew(
    damage: str, clip_copy: tuple[Path, Path], made: Made
) -> None:
    folder, cache = clip_copy
    expected = made("clip")[2]
    tower = manifest_of(cache).parent / "text.onnx"
    data = bytearray(tower.read_bytes())
    if damage == "cut":
        tower.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF
        tower.write_bytes(data)
    elif damage == "gone":
        tower.unlink()
    else:
        manifest_of(cache).write_text('{"towers": ')
    with Encoder.open(str(folder), cache=cache) as encoder:
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-5)
        assert uses_torch(encoder)  # PyTorch stepped in
        encoder.compile()
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-5)
        assert not uses_torch(encoder)


def test_a_tower_this_onnx_runtime_cannot_load_leaves_pytorch_in_charge(
    clip_copy: tuple[Path, Path], made: Made
) -> None:
    folder, cache = clip_copy
    tower = manifest_of(cache).parent / "text.onnx"
    tower.write_bytes(b"from the future")
    manifest = json.loads(manifest_of(cache).read_text())
    whole = {"bytes": 15, "sha256": hashlib.sha256(b"from the future").hexdigest()}
    manifest["towers"]["text"]["files"]["text.onnx"] = whole
    manifest_of(cache).write_text(json.dumps(manifest))
    with Encoder.open(str(folder), cache=cache) as encoder:
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), made("clip")[2], atol=1e-5)
        assert uses_torch(encoder)


def test_a_full_disk_says_so_and_leaves_nothing_behind(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(model: Any, tower: Any, spec: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiling, "export_tower", fill)
    with Encoder.open(str(made("clip")[0]), cache=tmp_path) as encoder:
        with pytest.raises(EncoderError, match=r"No space left.*CLIPSEARCH_CACHE"):
            encoder.compile()
        assert not list(tmp_path.glob("compiled/*/*"))


def test_towers_of_other_weights_are_not_taken(clip_copy: tuple[Path, Path]) -> None:
    folder, cache = clip_copy
    shutil.copytree(manifest_of(cache).parent, folder / "compiled")
    with Encoder.open(str(folder), cache=cache / "empty") as encoder:
        assert encoder._towers.get("text") is not None  # shipped beside the weights
    make_clip(folder, seed=9)
    with Encoder.open(str(folder), cache=cache) as encoder:
        assert encoder._towers.get("text") is None


def test_a_tower_that_differs_from_pytorch_is_thrown_away_and_recorded(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, texts, images = made("clip")
    real = export.export_tower

    def export_wrongly(model: Any, tower: Any, spec: Any, path: Path, **options: Any) -> None:
        shutil.copy(manifest_of(made("clip")[1]).parent / f"{tower}.onnx", path)
        if tower == "text":
            import onnx
            from onnx import numpy_helper

            proto = onnx.load(path)
            weight = max(proto.graph.initializer, key=lambda w: len(w.raw_data))
            values = numpy_helper.to_array(weight) * np.float32(1.5)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
            onnx.save(proto, path)

    monkeypatch.setattr(compiling, "export_tower", export_wrongly)
    with Encoder.open(str(folder), cache=tmp_path) as encoder:
        encoder.compile()
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), texts, atol=1e-5)
        assert uses_torch(encoder)
        np.testing.assert_allclose(encoder.encode_pixels(some_pixels()), images, atol=1e-5)
    entry = json.loads(manifest_of(tmp_path).read_text())["towers"]
    assert "below 0.9999" in entry["text"]["refused"] and "refused" not in entry["image"]
    assert not (manifest_of(tmp_path).parent / "text.onnx").exists()
    monkeypatch.setattr(compiling, "export_tower", real)
    with Encoder.open(str(folder), cache=tmp_path) as encoder:
        assert encoder._towers.is_settled("text")  # not tried again at every indexing


def test_an_exporter_that_fails_leaves_pytorch_in_charge(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("unsupported operator")

    folder, _, texts, _ = made("clip")
    monkeypatch.setattr(compiling, "export_tower", fail)
    with Encoder.open(str(folder), cache=tmp_path) as encoder:
        encoder.compile()
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), texts, atol=1e-5)
    towers = json.loads(manifest_of(tmp_path).read_text())["towers"]
    assert towers["text"] == {"refused": "RuntimeError: unsupported operator"}


def test_the_faster_runtime_runs_batches_and_the_light_one_single_pictures(
    clip_copy: tuple[Path, Path], made: Made
) -> None:
    folder, cache = clip_copy
    manifest = json.loads(manifest_of(cache).read_text())
    manifest["towers"]["image"]["faster"] = "torch"
    manifest_of(cache).write_text(json.dumps(manifest))
    with Encoder.open(str(folder), cache=cache) as encoder:
        one = encoder.encode_pixels(some_pixels()[:1])
        assert not uses_torch(encoder)
        many = encoder.encode_pixels(some_pixels(16))
        assert uses_torch(encoder)
    np.testing.assert_allclose(one, made("clip")[3][:1], atol=1e-5)
    np.testing.assert_allclose(many[:5], made("clip")[3], atol=1e-5)


def test_a_gpu_compiles_the_text_tower_only(made: Made, tmp_path: Path) -> None:
    folder, _, texts, _ = made("clip")
    encoder = Encoder.open(str(folder), cache=tmp_path)
    encoder.device = Device("cuda", "bf16")  # as on a machine with one; the text tower needs none
    encoder.compile()
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), texts, atol=1e-5)
    assert not uses_torch(encoder)
    assert list(json.loads(manifest_of(tmp_path).read_text())["towers"]) == ["text"]
    with Encoder.open(str(folder), cache=tmp_path, device="cpu") as other:
        other.compile()  # adds the image tower beside it
    assert sorted(json.loads(manifest_of(tmp_path).read_text())["towers"]) == ["image", "text"]


def test_a_large_towers_weights_lie_beside_it_and_are_checked_too(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, texts, _ = made("siglip2")
    monkeypatch.setattr(export, "EXTERNAL_FROM", 1000)
    with Encoder.open(str(folder), cache=tmp_path) as encoder:
        encoder.compile()
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), texts, atol=1e-5)
        assert not uses_torch(encoder)
    data = manifest_of(tmp_path).parent / "text.onnx.data"
    data.write_bytes(data.read_bytes()[:-1])
    with Encoder.open(str(folder), cache=tmp_path) as encoder:
        assert encoder._towers.get("text") is None


def test_a_shipped_model_needs_no_cache_and_half_the_room(tmp_path: Path) -> None:
    folder = make_clip(tmp_path / "starter", half=True)
    export_shipped(folder)
    files = sorted(p.name for p in (folder / "compiled").iterdir())
    assert files == ["image.onnx", "manifest.json", "text.onnx"]
    parameters = (folder / "model.safetensors").stat().st_size / 2
    assert sum(p.stat().st_size for p in (folder / "compiled").glob("*.onnx")) < 4 * parameters
    with Encoder.open(str(folder), cache=tmp_path / "cache") as encoder:
        ours = encoder.encode_texts(TEXTS), encoder.encode_pixels(some_pixels())
        encoder.compile()
        assert not uses_torch(encoder)
    assert not (tmp_path / "cache" / "compiled").exists()
    shutil.rmtree(folder / "compiled")
    with Encoder.open(str(folder), cache=tmp_path / "cache") as encoder:
        theirs = encoder.encode_texts(TEXTS), encoder.encode_pixels(some_pixels())
    for one, other in zip(ours, theirs, strict=True):
        assert (one * other).sum(axis=1).min() >= 0.9999


def test_a_cache_that_cannot_be_written_says_so(made: Made, tmp_path: Path) -> None:
    folder, _, _, _ = made("clip")
    (tmp_path / "cache").write_text("a file where a folder should be")
    encoder = Encoder.open(str(folder), cache=tmp_path / "cache")
    with pytest.raises(EncoderError, match="CLIPSEARCH_CACHE"):
        encoder.compile()


def test_two_processes_compile_once(made: Made, tmp_path: Path) -> None:
    folder, _, texts, _ = made("clip")
    code = (
        "import json; from pathlib import Path; from clipsearch.encoder import Encoder, compiling\n"
        "made = []; real = compiling.compile_towers\n"
        "compiling.compile_towers = lambda *a, **k: (made.append(1), real(*a, **k))\n"
        f"encoder = Encoder.open({str(folder)!r}, cache=Path({str(tmp_path)!r})); encoder.compile()\n"
        f"print(json.dumps([len(made), encoder.encode_texts({TEXTS!r}).tolist()]))"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) for _ in range(2)
    ]
    answers = [json.loads(process.communicate(timeout=200)[0]) for process in running]
    assert sorted(n for n, _ in answers) == [0, 1]
    for _, vectors in answers:
        np.testing.assert_allclose(vectors, texts, atol=1e-5)


def test_the_cached_folder_is_named_by_weights_export_and_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    key = compiled.cache_key("a" * 64)
    assert key != compiled.cache_key("b" * 64)
    monkeypatch.setattr(compiled, "version", lambda package: "99.0")
    assert key != compiled.cache_key("a" * 64)
    monkeypatch.undo()
    monkeypatch.setattr(compiled, "EXPORT_VERSION", 99)
    assert key != compiled.cache_key("a" * 64)


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_pictures_are_near_the_float32_ones_and_say_so(family: str, made: Made, tmp_path: Path) -> None:
    folder, _, texts, images = made(family)
    with Encoder.open(str(folder), cache=tmp_path, precision="int8") as encoder:
        ours = encoder.encode_pixels(some_pixels())  # compiled on first use
        assert (ours * images).sum(axis=1).min() > 0.99
        assert not np.array_equal(ours, images)
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), texts, atol=1e-5)  # words stay float32
        assert encoder.fingerprint.precision == "int8"
        assert not uses_torch(encoder)
    entry = json.loads(manifest_of(tmp_path).read_text())["towers"]["image-int8"]
    assert entry["cosine"] >= compiling.MIN_COSINE_INT8


def test_a_model_that_8_bits_would_spoil_is_refused_at_int8(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _, images = made("clip")
    monkeypatch.setattr(compiling, "MIN_COSINE_INT8", 1.1)
    with (
        Encoder.open(str(folder), cache=tmp_path, precision="int8") as encoder,
        pytest.raises(EncoderError, match=r"cannot be used at int8 \(cosine .* below 1.1\)"),
    ):
        encoder.encode_pixels(some_pixels())
    with Encoder.open(str(folder), cache=tmp_path) as encoder:  # and float32 is not spoiled by that
        np.testing.assert_allclose(encoder.encode_pixels(some_pixels()), images, atol=1e-5)


def test_bf16_on_a_cpu_is_near_float32(made: Made, tmp_path: Path) -> None:
    folder, _, _, images = made("clip")
    with Encoder.open(str(folder), cache=tmp_path, device="cpu", precision="bf16") as encoder:
        assert (encoder.encode_pixels(some_pixels()) * images).sum(axis=1).min() > 0.99
        assert encoder.fingerprint.precision == "bf16"
