"""The encoder against transformers' own processors and models: every family, both runtimes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny_models import CONTEXT, SIZE, make_clip, make_naflex, make_siglip, make_siglip2

from clipsearch.encoder import Encoder
from clipsearch.encoder.towers import BatchLimit, TowerOutOfMemory
from clipsearch.errors import EncoderError, ImageError, ModelError

TEXTS = [
    "a photo of a cat",
    "A Photo of a CAT!",
    "brass hex bolt, M8 x 40 (12-34/AB)",
    "真鍮製の六角ボルト、研磨仕上げ",
    "  two   people\twalking ",
    "",
    "!!!",
    "café Straße №5 ＡＢＣ",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
]
FAMILIES: dict[str, Callable[[Path], Path]] = {
    "clip": make_clip,
    "clip-legacy-eos": lambda folder: make_clip(folder, seed=1, legacy_eos=True),
    "clip-gelu": lambda folder: make_clip(folder, seed=2, act="gelu"),
    "siglip": make_siglip,
    "siglip-slow": lambda folder: make_siglip(folder, seed=3, fast=False),
    "siglip2": make_siglip2,
}
Folders = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Model folders by family, each made once."""
    base = tmp_path_factory.mktemp("models")

    def make(family: str) -> Path:
        folder = base / family
        return folder if folder.exists() else FAMILIES[family](folder)

    return make


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that never holds a compiled tower: torch runs."""
    return tmp_path_factory.mktemp("cache")


def reference_texts(folder: Path, texts: list[str]) -> NDArray[np.float32]:
    """What transformers' own tokenizer and model make of the texts, padded to the full context."""
    import torch
    from transformers import CLIPModel, CLIPTokenizer, Siglip2Tokenizer, SiglipModel, SiglipTokenizer

    named = json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"]
    tokenizers = {"CLIPTokenizer": CLIPTokenizer, "Siglip2Tokenizer": Siglip2Tokenizer}
    tokenizer = tokenizers.get(named, SiglipTokenizer).from_pretrained(folder)
    kind = CLIPModel if named == "CLIPTokenizer" else SiglipModel
    inputs = tokenizer(texts, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt")
    with torch.no_grad():
        return unit(kind.from_pretrained(folder).get_text_features(**inputs).pooler_output.numpy())


def reference_images(folder: Path, pictures: list[Image.Image]) -> NDArray[np.float32]:
    """What transformers' own processor and model make of the pictures."""
    import torch
    from transformers import CLIPImageProcessorPil, CLIPModel, SiglipImageProcessorPil, SiglipModel

    is_clip = json.loads((folder / "config.json").read_text())["model_type"] == "clip"
    processor = (CLIPImageProcessorPil if is_clip else SiglipImageProcessorPil).from_pretrained(folder)
    model = (CLIPModel if is_clip else SiglipModel).from_pretrained(folder)
    with torch.no_grad():
        pixels = processor(pictures, return_tensors="pt")["pixel_values"]
        return unit(model.get_image_features(pixels).pooler_output.numpy())


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
    return units


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(SIZE, SIZE), (50, 90), (200, 61), (33, 32), (400, 300)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_have_the_vectors_of_transformers_own_tokenizer_and_model(
    family: str, folder_of: Folders, cache: Path
) -> None:
    folder = folder_of(family)
    expected = reference_texts(folder, TEXTS)
    with Encoder.open(str(folder), cache=cache) as encoder:
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-5)
        one_by_one = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_have_the_vectors_of_transformers_own_processor_and_model(
    family: str, folder_of: Folders, cache: Path
) -> None:
    folder = folder_of(family)
    with Encoder.open(str(folder), cache=cache) as encoder:
        ours = encoder.encode_images(pictures(), batch_size=2)
    np.testing.assert_allclose(ours, reference_images(folder, pictures()), atol=1e-5)


def test_the_families_rules_matter_in_these_models(folder_of: Folders, cache: Path) -> None:
    """The tiny models tell a wrong casing, activation or trimming: else the tests above prove nothing."""
    for family, changed in (("clip", "a photo of a dog"), ("siglip2", "A PHOTO OF A CAT?")):
        with Encoder.open(str(folder_of(family)), cache=cache) as encoder:
            one, other = encoder.encode_texts(["a photo of a cat", changed])
        assert np.abs(one - other).max() > 1e-3
    siglip = reference_texts(folder_of("siglip2"), ["a cat"])
    trimmed = _trimmed_siglip(folder_of("siglip2"), "a cat")
    assert np.abs(siglip - trimmed).max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_counted_before_a_text_is_cut(family: str, folder_of: Folders, cache: Path) -> None:
    long = TEXTS[-1] + " " + " ".join(TEXTS) * 5
    with Encoder.open(str(folder_of(family)), cache=cache) as encoder:
        assert encoder.context == CONTEXT
        counts = encoder.count_tokens([*TEXTS, long])
        assert encoder.count_tokens([]) == []
        assert counts == reference_counts(folder_of(family), [*TEXTS, long])
        assert counts[0] <= CONTEXT < counts[-1]
        whole, cut = encoder.encode_texts([TEXTS[0], f"{long} {long}"])
        np.testing.assert_allclose(encoder.encode_texts([TEXTS[0], long]), [whole, cut], atol=1e-5)
        with pytest.raises(EncoderError, match="valid Unicode"):
            encoder.count_tokens(["\ud800"])
        with pytest.raises(EncoderError, match="valid Unicode"):
            encoder.encode_texts(["\ud800"])


def reference_counts(folder: Path, texts: list[str]) -> list[int]:
    """How many tokens transformers' own tokenizer makes of each text."""
    from transformers import CLIPTokenizer, Siglip2Tokenizer, SiglipTokenizer

    named = json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"]
    tokenizers = {"CLIPTokenizer": CLIPTokenizer, "Siglip2Tokenizer": Siglip2Tokenizer}
    tokenizer = tokenizers.get(named, SiglipTokenizer).from_pretrained(folder)
    return [len(tokenizer(text, truncation=False)["input_ids"]) for text in texts]


def _trimmed_siglip(folder: Path, text: str) -> NDArray[np.float32]:
    import torch
    from transformers import Siglip2Tokenizer, SiglipModel

    ids = Siglip2Tokenizer.from_pretrained(folder)([text], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return unit(SiglipModel.from_pretrained(folder).get_text_features(ids).pooler_output.numpy())


def test_siglip_2_lower_cases_even_where_its_file_does_not_say_so(
    folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder_of("siglip2"), tmp_path / "copy")
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    assert tokenizer["normalizer"]["normalizers"][0]["type"] == "Lowercase"
    tokenizer["normalizer"] = tokenizer["normalizer"]["normalizers"][1]
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    with Encoder.open(str(copy), cache=cache) as encoder:
        lower, upper = encoder.encode_texts(["a photo of a cat", "A PHOTO OF A CAT"])
    np.testing.assert_array_equal(lower, upper)


def test_a_missing_end_token_rule_is_supplied(folder_of: Folders, cache: Path, tmp_path: Path) -> None:
    for family in ("clip", "siglip2"):
        copy = shutil.copytree(folder_of(family), tmp_path / family)
        tokenizer = json.loads((copy / "tokenizer.json").read_text())
        tokenizer["post_processor"] = None
        (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
        with Encoder.open(str(copy), cache=cache) as encoder:
            expected = reference_texts(folder_of(family), TEXTS[:3])
            np.testing.assert_allclose(encoder.encode_texts(TEXTS[:3]), expected, atol=1e-5)


def test_all_kinds_of_sources_give_one_vector(folder_of: Folders, cache: Path, tmp_path: Path) -> None:
    picture = pictures()[1]
    path = tmp_path / "picture.png"
    picture.save(path)
    sources: list[Any] = [path, str(path), path.read_bytes(), picture, np.asarray(picture)]
    with Encoder.open(str(folder_of("clip")), cache=cache) as encoder:
        vectors = encoder.encode_images(sources)
        np.testing.assert_allclose(vectors, np.repeat(vectors[:1], len(sources), axis=0), atol=1e-6)
        with pytest.raises(ImageError):
            encoder.encode_images([path, b"no picture"])


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_rows_are_unit_float32_in_the_order_asked(family: str, folder_of: Folders, cache: Path) -> None:
    with Encoder.open(str(folder_of(family)), cache=cache) as encoder:
        texts = [f"{'word ' * (i * 7 % 11)}number {i}" for i in range(23)]
        vectors = encoder.encode_texts(texts, batch_size=4)
        single = np.concatenate([encoder.encode_texts([text]) for text in texts])
        assert vectors.dtype == np.float32 and vectors.shape == (23, encoder.dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(vectors, single, atol=1e-5)
        assert encoder.encode_texts([]).shape == (0, encoder.dim)
        assert encoder.encode_images([]).shape == (0, encoder.dim)
        assert encoder.encode_pixels(np.empty((0, SIZE, SIZE, 3), np.uint8)).shape == (0, encoder.dim)


def test_the_models_own_calibration_is_read(folder_of: Folders, cache: Path) -> None:
    import torch
    from transformers import SiglipModel

    bias = float(SiglipModel.from_pretrained(folder_of("siglip")).logit_bias.detach())
    with Encoder.open(str(folder_of("siglip")), cache=cache) as encoder:
        assert encoder.logit_scale == pytest.approx(float(torch.tensor(2.5).exp()))
        assert encoder.logit_bias == pytest.approx(bias)
    with Encoder.open(str(folder_of("clip")), cache=cache) as encoder:
        assert encoder.logit_bias is None


def test_the_fingerprint_tells_models_apart_and_knows_a_copy(
    folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    folder = folder_of("clip")
    copy = shutil.copytree(folder, tmp_path / "copy")
    one, same, other = (
        Encoder.open(str(f), cache=cache).fingerprint for f in (folder, copy, folder_of("clip-gelu"))
    )
    assert one.weights_sha256 == same.weights_sha256 != other.weights_sha256
    assert one.tokenizer_sha256 == same.tokenizer_sha256
    assert (one.dim, one.precision, one.decode) == (24, "fp32", "scaled")
    config = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps({**config, "resample": 2}))
    tokenizer = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "model_max_length": 9}))
    changed = Encoder.open(str(copy), cache=cache, exact=True).fingerprint
    assert changed.preprocessing != one.preprocessing
    assert changed.tokenizer_sha256 != one.tokenizer_sha256
    assert changed.decode == "exact"


OLD_OPENAI = {  # the keys of openai/clip-vit-base-patch32's file of 2021, at these models' size
    "crop_size": SIZE,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": SIZE,
}


def test_preprocessing_is_read_from_old_and_new_files(
    folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    expected = Encoder.open(str(folder_of("clip")), cache=cache).preprocessing
    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    (copy / "preprocessor_config.json").write_text(json.dumps(OLD_OPENAI))
    assert Encoder.open(str(copy), cache=cache).preprocessing == expected
    own = (folder_of("clip") / "preprocessor_config.json").read_text()
    (copy / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(own)}))
    (copy / "preprocessor_config.json").unlink()
    assert Encoder.open(str(copy), cache=cache).preprocessing == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_resize": False}, "do_resize: false"),
        ({"do_normalize": False}, "do_normalize: false"),
        ({"resample": 9}, "PIL filter 9"),
        ({"crop_size": {"height": 16, "width": 16}}, "takes 32 x 32 pixels"),
        ({"do_center_crop": False}, "a preprocessing clipsearch does not know"),
        ({"size": {"longest_edge": 32}}, "a preprocessing clipsearch does not know"),
    ],
)
def test_preprocessing_we_could_only_do_wrongly_is_refused(
    change: dict[str, Any], message: str, folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    (copy / "preprocessor_config.json").write_text(json.dumps(OLD_OPENAI | change))
    with pytest.raises(ModelError, match=message):
        Encoder.open(str(copy), cache=cache)


def test_other_architectures_are_refused_by_name(folder_of: Folders, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"NaFlex.*google/siglip2-base-patch16-256"):
        Encoder.open(str(make_naflex(tmp_path / "naflex")), cache=cache)
    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    own_code = {"model_type": "own_clip", "auto_map": {"AutoModel": "modeling_own.OwnModel"}}
    (copy / "config.json").write_text(json.dumps(config | own_code))
    with pytest.raises(ModelError, match=r"never run.*own_clip"):
        Encoder.open(str(copy), cache=cache)


def test_remote_code_of_a_known_architecture_is_not_run(
    folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    (copy / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: ...\n")
    with Encoder.open(str(copy), cache=cache) as encoder:
        assert encoder.encode_texts(["a cat"]).shape == (1, 24)
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fill_the_model_are_refused(
    folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with (
        Encoder.open(str(copy), cache=cache) as encoder,
        pytest.raises(ModelError, match="visual_projection"),
    ):
        encoder.encode_texts(["a cat"])
    del tensors["text_projection.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="no text tower"):
        Encoder.open(str(copy), cache=cache)


def test_a_vector_that_is_not_finite_stops_instead_of_being_stored(
    folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    tensors["visual_projection.weight"] = tensors["visual_projection.weight"] * np.float32("nan")
    tensors["text_projection.weight"] = tensors["text_projection.weight"] * 0
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with Encoder.open(str(copy), cache=cache) as encoder:
        with pytest.raises(EncoderError, match="no usable vector for picture number 1 of 2"):
            encoder.encode_pixels(np.zeros((2, SIZE, SIZE, 3), np.uint8))
        with pytest.raises(EncoderError, match="no usable vector for text"):
            encoder.encode_texts(["a cat"])


def test_pixels_of_another_shape_or_type_are_refused(folder_of: Folders, cache: Path) -> None:
    with Encoder.open(str(folder_of("clip")), cache=cache) as encoder:
        for wrong in (np.zeros((1, SIZE, SIZE + 1, 3), np.uint8), np.zeros((1, SIZE, SIZE, 3), np.float32)):
            with pytest.raises(EncoderError, match="pixels must be uint8"):
                encoder.encode_pixels(wrong)  # type: ignore[arg-type]
        with pytest.raises(EncoderError, match="batch_size"):
            encoder.encode_texts(["a"], batch_size=0)


def test_a_text_that_is_no_unicode_is_refused(folder_of: Folders, cache: Path) -> None:
    encoder = Encoder.open(str(folder_of("clip")), cache=cache)
    with pytest.raises(EncoderError, match="valid Unicode"):
        encoder.encode_texts(["\ud800"])


def test_a_batch_too_large_for_memory_is_halved_until_it_fits() -> None:
    seen: list[int] = []

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        seen.append(len(batch))
        if len(batch) > 3:
            raise TowerOutOfMemory("too many")
        return batch.astype(np.float32)

    batch = np.arange(22).reshape(11, 2)
    limit = BatchLimit("picture")
    np.testing.assert_array_equal(limit.run(run, batch), batch)
    assert seen[:3] == [11, 5, 2] and max(seen[2:]) == 2
    np.testing.assert_array_equal(limit.run(run, batch), batch)
    assert max(seen[3:]) == 2  # what did not fit is not tried again

    def never(batch: NDArray[Any]) -> NDArray[np.float32]:
        raise TowerOutOfMemory("none fits")

    with pytest.raises(EncoderError, match="not even one picture fits"):
        BatchLimit("picture").run(never, batch)


def test_torch_running_out_of_memory_halves_the_batch(
    folder_of: Folders, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    with Encoder.open(str(folder_of("clip")), cache=cache) as encoder:
        pixels = np.random.default_rng(1).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
        expected = encoder.encode_pixels(pixels)
        model = encoder._torch_model().model
        real = model.get_image_features

        def full(pixel_values: Any) -> Any:
            if len(pixel_values) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return real(pixel_values=pixel_values)

        monkeypatch.setattr(model, "get_image_features", full)
        np.testing.assert_allclose(encoder.encode_pixels(pixels), expected, atol=1e-6)


def test_a_gpu_normalises_as_the_cpu_does(folder_of: Folders, cache: Path) -> None:
    import torch

    from clipsearch.encoder.pooled import pixel_tower
    from clipsearch.images import normalise

    preprocessing = Encoder.open(str(folder_of("clip")), cache=cache).preprocessing
    pixels = np.random.default_rng(2).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    theirs = pixel_tower(torch.nn.Identity(), preprocessing, torch.float32)(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(theirs, normalise(pixels, preprocessing), atol=1e-5)


def test_a_tokenizer_of_vocabulary_and_merges_gives_the_same_vectors(
    folder_of: Folders, cache: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    model = json.loads((copy / "tokenizer.json").read_text())["model"]
    (copy / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (copy / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (copy / "tokenizer.json").unlink()
    with Encoder.open(str(copy), cache=cache) as encoder:
        expected = reference_texts(folder_of("clip"), TEXTS)
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-5)


def test_a_damaged_tokenizer_is_said_so(folder_of: Folders, cache: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder_of("clip"), tmp_path / "copy")
    (copy / "tokenizer.json").write_text("{}")
    encoder = Encoder.open(str(copy), cache=cache)
    with pytest.raises(ModelError, match=r"tokenizer\.json.*fetch the model again"):
        encoder.encode_texts(["a cat"])


def test_opening_a_model_imports_nothing_heavy(folder_of: Folders, cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from clipsearch.encoder import Encoder\n"
        f"encoder = Encoder.open({str(folder_of('siglip2'))!r}, cache=Path({str(cache)!r}))\n"
        "print(encoder.dim, encoder.logit_scale > 1)\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'huggingface_hub', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, ["32", "True"]), done.stderr
