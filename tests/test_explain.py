"""Why this picture for these words: the map, the words, the check, the drawing and the command."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import SIZE, make_clip, make_siglip

from clipsearch.encoder import Encoder
from clipsearch.errors import EncoderError, ImageError, QueryError
from clipsearch.explain import Check, check, explain, overlay
from clipsearch.explain.checking import N_PICTURES, hide
from clipsearch.explain.placing import on_picture, seen_box
from clipsearch.explain.words import spans, without
from clipsearch.images import load, normalise
from clipsearch.types import Preprocessing

DEMO = Path(__file__).resolve().parents[1] / "clipsearch" / "demo" / "data"
GRID = SIZE // 8


@pytest.fixture(scope="module")
def starter() -> Iterator[Encoder]:
    with Encoder.open("starter", device="cpu") as encoder:
        yield encoder


@pytest.fixture(scope="module", params=["clip", "siglip"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    folder = tmp_path_factory.mktemp("models") / request.param
    (make_clip if request.param == "clip" else make_siglip)(folder)
    with Encoder.open(f"local-dir:{folder}", device="cpu", cache=tmp_path_factory.mktemp("cache")) as encoder:
        yield encoder


def pictures(n: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def by_hooks(encoder: Encoder, pixels: NDArray[np.uint8], direction: NDArray[np.float32]) -> Any:
    """The paper's map from transformers' own eager forward, with loops over heads and patches."""
    import torch

    model: Any = encoder.reference().model.model
    model.set_attn_implementation("eager")
    vision, kept = model.vision_model, {}
    is_clip = encoder._spec.family == "clip"
    attention = vision.encoder.layers[-1].self_attn if is_clip else vision.head.attention
    heads = attention.num_heads
    if is_clip:
        hooks = [
            getattr(attention, f"{name}_proj").register_forward_hook(
                lambda _m, _i, output, name=name: kept.update({name: output[0]})
            )
            for name in "qkv"
        ]
        hooks += [attention.out_proj.register_forward_pre_hook(lambda _m, i: kept.update(o=i[0]))]
        out = model.get_image_features(
            pixel_values=torch.from_numpy(normalise(pixels, encoder.preprocessing))
        )
    else:
        hooks = [attention.register_forward_hook(lambda _m, i, output: kept.update(tokens=i[1], o=output[0]))]
        out = model.get_image_features(
            pixel_values=torch.from_numpy(normalise(pixels, encoder.preprocessing))
        )
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        kept["q"] = vision.head.probe[0] @ weights[0].T + biases[0]
        kept["k"], kept["v"] = (kept["tokens"][0] @ weights[i].T + biases[i] for i in (1, 2))
    for hook in hooks:
        hook.remove()
    vector = torch.nn.functional.normalize(getattr(out, "pooler_output", out), dim=1)[0]
    (gradient,) = torch.autograd.grad(vector @ torch.from_numpy(direction), kept["o"])
    gradient = gradient[0, 0] if is_clip else gradient[0, 0] @ attention.out_proj.weight
    skip = 1 if is_clip else 0
    query, keys, values = kept["q"][0], kept["k"][skip:], kept["v"][skip:]
    result = np.zeros(len(keys))
    width = len(query) // heads
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        near = torch.stack([torch.cosine_similarity(query[part], key[part], dim=0) for key in keys])
        loose = (near - near.min()) / (near.max() - near.min())
        for i, value in enumerate(values):
            result[i] += float((loose[i] * (gradient[part] * value[part]).sum()).detach())
    return result.reshape(GRID, GRID)


def test_the_map_is_the_papers_computed_from_the_models_own_forward(small: Encoder) -> None:
    pixels = pictures(2)
    texts = small.encode_texts(["a red chair", "brass hex bolt"])
    maps, vectors = small.relevance(pixels, texts)
    assert maps.shape == (2, GRID, GRID)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(vectors, small.encode_pixels(pixels), atol=1e-5)
    for i in range(2):
        expected = by_hooks(small, pixels[i : i + 1], texts[i])
        np.testing.assert_allclose(maps[i], expected, atol=1e-6, rtol=1e-4)


def test_one_picture_alone_has_the_map_it_has_in_a_batch(small: Encoder) -> None:
    pixels, text = pictures(3), small.encode_texts(["a cat"])
    together, _ = small.relevance(pixels, np.repeat(text, 3, axis=0))
    alone, _ = small.relevance(pixels[1:2], text)
    np.testing.assert_allclose(alone[0], together[1], atol=1e-6)


def test_the_map_is_linear_in_the_text_so_contrast_is_a_difference(small: Encoder) -> None:
    pixels, texts = pictures(1), small.encode_texts(["a cat", "a photo"])
    first, second, difference = (
        small.relevance(pixels, row[None])[0] for row in (texts[0], texts[1], texts[0] - texts[1])
    )
    np.testing.assert_allclose(first - second, difference, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_coarser_precision_draws_the_same_map(starter: Encoder, precision: str) -> None:
    picture, text = DEMO / "images" / "WN-M10-AB_1.jpg", "blue wing nut"
    fine = explain(starter, picture, text, check_map=False)
    with Encoder.open("starter", device="cpu", precision=precision) as encoder:
        coarse = explain(encoder, picture, text, check_map=False)
    assert np.corrcoef(fine.map.ravel(), coarse.map.ravel())[0, 1] > 0.99
    assert coarse.cosine == pytest.approx(fine.cosine, abs=0.02)


def test_an_attention_that_is_built_otherwise_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    folder = make_clip(tmp_path / "m")
    with Encoder.open(f"local-dir:{folder}", device="cpu", cache=tmp_path) as encoder:
        vision: Any = encoder._torch_model().model.vision_model
        del vision.encoder.layers[-1].self_attn.k_proj
        with pytest.raises(EncoderError, match="cannot be taken apart"):
            encoder.relevance(pictures(1), np.ones((1, encoder.dim), np.float32))


def object_patches(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Patches that are not background: another colour than the picture's border, in a third of the patch."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(float)
    differs = np.abs(pixels - np.median(edge, axis=0)).max(axis=-1) > 30
    shares: NDArray[np.float64] = differs.reshape(8, 16, 8, 16).mean(axis=(1, 3))
    return shares > 0.3


def test_the_part_is_hotter_than_the_background_in_most_demo_pictures(starter: Encoder) -> None:
    with (DEMO / "parts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::27][:20]
    hotter = 0
    for row in rows:
        found = explain(starter, DEMO / row["image"], row["name"], check_map=False)
        pixels, _ = load(DEMO / row["image"], starter.preprocessing)
        part = object_patches(pixels)
        hotter += bool(found.map[part].mean() > 2 * found.map[~part].mean())
    assert len(rows) == 20
    assert hotter >= 17


def test_the_words_say_what_the_cosine_loses_without_them(starter: Encoder) -> None:
    picture = DEMO / "images" / "WN-M10-AB_1.jpg"
    found = explain(starter, picture, "blue wing nut, please", check_map=False)
    assert [word.word for word in found.words] == ["blue", "wing", "nut", "please"]
    vector = starter.encode_images([picture])[0]
    whole, less = starter.encode_texts(["blue wing nut, please", "blue nut, please"]) @ vector
    assert found.cosine == pytest.approx(float(whole), abs=1e-4)
    assert found.words[1].share == pytest.approx(float(whole - less), abs=1e-4)
    assert found.words[1].share == max(word.share for word in found.words)


def test_the_only_word_is_compared_with_neutral_prompts(starter: Encoder) -> None:
    found = explain(starter, DEMO / "images" / "WN-M10-AB_1.jpg", "nut", check_map=False)
    assert found.words[0].share == pytest.approx(found.cosine - found.neutral)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("赤い六角ボルト", ["赤い", "六角", "ボルト"]),
        ("真鍮の小さな蝶ナット", ["真鍮", "の", "小さな", "蝶", "ナット"]),
        ("鋼のねじ、M8", ["鋼", "の", "ねじ", "M8"]),
        ("M8六角ボルト 鋼", ["M8", "六角", "ボルト", "鋼"]),
        ("hex bolt - M8 x 40", ["hex", "bolt", "M8", "x", "40"]),
    ],
)
def test_words_are_split_at_spaces_and_where_the_japanese_script_changes(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in spans(text)] == words


def test_leaving_out_a_word_leaves_no_double_space() -> None:
    assert without("a red chair", (2, 5)) == "a chair"
    assert without("赤いボルト", (0, 2)) == "ボルト"
    assert without("chair", (0, 5)) == ""


def test_japanese_words_have_shares_of_their_own(starter: Encoder) -> None:
    found = explain(starter, DEMO / "images" / "WN-M10-AB_1.jpg", "青い蝶ナット", check_map=False)
    assert [word.word for word in found.words] == ["青い", "蝶", "ナット"]
    assert found.words[1].share > 0


@pytest.mark.parametrize("text", ["", "  ", "- !", "word " * 300])
def test_no_words_or_too_many_are_an_error(starter: Encoder, text: str) -> None:
    with pytest.raises(QueryError):
        explain(starter, DEMO / "images" / "WN-M10-AB_1.jpg", text)


class Counting:
    """An encoder whose score is how much of a white part is shown; counts what it is asked."""

    def __init__(self) -> None:
        self.n = 0

    def encode_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.n += len(pixels)
        return (pixels == 255).mean(axis=(1, 2, 3), dtype=np.float32)[:, None]


def checked(relevance: NDArray[np.float32], encoder: Any = None) -> Check:
    pixels = np.full((SIZE, SIZE, 3), 100, np.uint8)
    pixels[8:24, 16:32] = 255  # patches 1 and 2 across, 2 and 3 down
    return check(encoder or Counting(), pixels, relevance, np.ones(1, np.float32))


def test_a_map_that_finds_what_the_score_comes_from_is_better_than_random() -> None:
    relevance, encoder = np.zeros((GRID, GRID), np.float32), Counting()
    relevance[1:3, 2:4] = 1
    found = checked(relevance, encoder)
    assert found.is_better_than_random
    assert found.insertion > 4 * found.deletion
    assert encoder.n == N_PICTURES


def test_a_map_that_points_elsewhere_or_nowhere_is_not() -> None:
    wrong = np.ones((GRID, GRID), np.float32)
    wrong[1:3, 2:4] = 0
    assert not checked(wrong).is_better_than_random
    assert not checked(np.zeros((GRID, GRID), np.float32)).is_better_than_random


def test_hidden_patches_have_the_mean_colour_and_the_others_stay() -> None:
    pixels = pictures(1)[0]
    hidden = np.zeros((GRID, GRID), bool)
    hidden[0, 3] = True
    changed = hide(pixels, hidden)
    assert (changed[:8, 24:] == pixels.mean(axis=(0, 1)).round()).all()
    changed[:8, 24:] = pixels[:8, 24:]
    assert (changed == pixels).all()


def fitted(edge: int | None, *, crop: bool = True, size: int = SIZE) -> Preprocessing:
    return Preprocessing(size, size, edge, crop, "bicubic", (0.5,) * 3, (0.5,) * 3)


def test_the_crop_of_a_wide_picture_is_its_middle() -> None:
    assert seen_box((640, 320), fitted(SIZE), (4, 4)) == (160, 0, 480, 320)
    assert seen_box((320, 640), fitted(SIZE), (4, 4)) == (0, 160, 320, 480)
    assert seen_box((640, 320), fitted(None, crop=False), (4, 4)) == (0, 0, 640, 320)
    assert seen_box((64, 64), fitted(16), (4, 4)) == (-32, -32, 96, 96)  # a crop with a black border


def test_what_the_model_never_saw_is_nan_on_the_picture() -> None:
    relevance = np.arange(16, dtype=np.float32).reshape(4, 4)
    placed = on_picture(relevance, (160, 0, 480, 320), (640, 320), shape=(160, 320))
    assert np.isnan(placed[:, :80]).all() and np.isnan(placed[:, 240:]).all()
    assert not np.isnan(placed[:, 80:240]).any()
    assert placed[20, 100] == pytest.approx(0, abs=0.5) and placed[140, 220] == pytest.approx(15, abs=0.5)
    bordered = on_picture(relevance, (-32, -32, 96, 96), (64, 64), shape=(64, 64))
    assert not np.isnan(bordered).any()


def test_the_map_of_a_photo_lies_on_the_upright_picture(starter: Encoder, tmp_path: Path) -> None:
    """EXIF 6: stored lying on its side. The same picture upright has the same map at the same place."""
    from PIL import Image

    part = Image.open(DEMO / "images" / "WN-M10-AB_1.jpg")
    upright = Image.new("RGB", (200, 300), part.getpixel((2, 2)))
    upright.paste(part, (0, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "upright.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    first, second = (
        explain(starter, tmp_path / f"{name}.png", "wing nut", check_map=False)
        for name in ("upright", "turned")
    )
    assert second.size == (200, 300)
    assert second.box == first.box == (0, 50, 200, 250)
    np.testing.assert_allclose(first.map, second.map, atol=1e-5)
    shown = overlay(second, tmp_path / "turned.png")
    assert shown.shape == (512, 341, 3)
    assert (shown == overlay(first, tmp_path / "upright.png")).all()
    assert shown[:60].mean() < 0.5 * shown[200:260].mean()  # unseen: dark


def test_a_picture_of_one_line_can_be_explained_and_drawn(small: Encoder) -> None:
    line = np.random.default_rng(0).integers(0, 256, (1, 3000, 3), dtype=np.uint8)
    found = explain(small, line, "a cat", check_map=False)
    assert overlay(found, line).shape == (1, 1280, 3)


def test_a_file_that_is_no_picture_is_an_image_error(starter: Encoder, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no")
    with pytest.raises(ImageError):
        explain(starter, tmp_path / "a.jpg", "wing nut")
