"""Pairs, batches and the loop, on coloured shapes and a tiny CLIPModel of the real architecture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from coloured_shapes import COMBINATIONS, shapes

from clipsearch.errors import TuningError
from clipsearch.tuning.checkpoint import load_state, save_folder, save_state
from clipsearch.tuning.pairs import ArrayPictures, Pairs, augment
from clipsearch.tuning.settings import Progress, TrainSettings
from clipsearch.tuning.towers import busy_patches, image_vectors, on_device, scaled
from clipsearch.tuning.trainer import MAX_LOGIT_SCALE, Trainer, train
from clipsearch.types import Preprocessing

PREPROCESSING = Preprocessing(
    height=32, width=32, shortest_edge=32, crop=True, resample="bicubic", mean=(0.5,) * 3, std=(0.25,) * 3
)
SETTINGS = TrainSettings(
    steps=6, batch_size=16, evaluate_every=2, precision="fp32", learning_rate=2e-3, patch_keep=0.5
)


def tiny_model(seed: int = 0) -> Any:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    size = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**size, **ids, "vocab_size": 128, "max_position_embeddings": 16, "projection_dim": 32}
    vision = {**size, "image_size": 32, "patch_size": 8, "projection_dim": 32}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32))


def by_word(texts: Sequence[str]) -> torch.Tensor:
    """A token for each English word and each Japanese letter; start 0, end and padding 1."""
    rows = []
    for text in texts:
        parts = text.replace(",", "").split() if text.isascii() else list(text)
        rows.append([0, *(2 + crc32(part.encode()) % 126 for part in parts), 1])
    longest = max(map(len, rows))
    return torch.tensor([row + [1] * (longest - len(row)) for row in rows])


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


# --- pairs ---------------------------------------------------------------------------------------


def test_an_epoch_has_each_row_at_most_once_and_only_full_batches() -> None:
    pairs = shapes(103)
    rows = [batch.rows for batch in pairs.batches(10, seed=1, epoch=0)]
    assert [len(r) for r in rows] == [10] * 10
    assert len(set(np.concatenate(rows).tolist())) == 100


def test_batches_follow_from_seed_and_epoch_alone() -> None:
    pairs = shapes(64)
    first, again = (list(pairs.batches(16, seed=3, epoch=2)) for _ in range(2))
    assert [b.captions for b in first] == [b.captions for b in again]
    others = [*pairs.batches(16, seed=3, epoch=1), *pairs.batches(16, seed=4, epoch=2)]
    assert all(not np.array_equal(first[0].rows, b.rows) for b in others)


def test_pictures_of_one_group_are_kept_apart_where_they_can_be() -> None:
    pairs = shapes(720)  # 36 groups of about 20; batches of 12
    apart = [len(set(pairs.groups[b.rows].tolist())) for b in pairs.batches(12, seed=0, epoch=0)]
    chance = [
        len(set(pairs.groups[rows].tolist()))
        for rows in np.random.default_rng(0).permutation(720).reshape(60, 12)
    ]
    assert np.mean(apart) > 11.5 > np.mean(chance)
    assert min(apart[:40]) == 12


def test_rows_of_a_few_large_groups_still_make_full_batches() -> None:
    pairs = shapes(50, combinations=COMBINATIONS[:1])
    rows = np.concatenate([b.rows for b in pairs.batches(8, seed=0, epoch=0)])
    assert len(set(rows.tolist())) == 48


def test_what_is_also_true_of_a_picture_is_no_negative() -> None:
    pixels = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    captions = [[["a brass bolt", "a bolt"]], [["a steel bolt", "a bolt"]], [["a nut"]]]
    pairs = Pairs(ArrayPictures(pixels), captions, np.array([0, 1, 2]))
    seen = set()
    for epoch in range(20):
        (batch,) = pairs.batches(3, seed=0, epoch=epoch)
        place = {int(row): i for i, row in enumerate(batch.rows)}
        bolt, other, nut = place[0], place[1], place[2]
        short = batch.captions[0][bolt] == "a bolt"
        assert batch.same[0][other, bolt] == short  # text "a bolt" is true of the steel bolt too
        assert not batch.same[0][nut, bolt]
        assert batch.same[0].diagonal().all()
        seen.add(short)
    assert seen == {True, False}


def test_captions_are_drawn_anew_each_epoch_from_every_channel() -> None:
    pairs = shapes(32)
    drawn = [b.captions for epoch in range(6) for b in pairs.batches(32, seed=0, epoch=epoch)]
    for c, expected in enumerate([(", ", "a "), ("の写真", "")]):
        texts = {text for captions in drawn for text in captions[c]}
        assert any(expected[0] in t for t in texts)
        assert any(expected[0] not in t for t in texts)


def test_pairs_that_do_not_fit_together_are_refused() -> None:
    pixels = ArrayPictures(np.zeros((2, 8, 8, 3), dtype=np.uint8))
    with pytest.raises(TuningError, match="2 pictures, 1 captions and 2 groups"):
        Pairs(pixels, [[["a bolt"]]], np.array([0, 1]))
    with pytest.raises(TuningError, match="picture 1 lacks a caption in one of: caption"):
        Pairs(pixels, [[["a bolt"]], [[]]], np.array([0, 1]))


def test_the_data_fingerprint_notices_a_changed_caption_picture_or_group() -> None:
    pairs = shapes(10)
    captions = [*pairs.captions[:9], (("a red thing",), pairs.captions[9][1])]
    pixels = pairs.pictures.rows(np.arange(10)).copy()
    pixels[3, 0, 0, 0] ^= 1
    changed = [
        replace(pairs, captions=captions),
        replace(pairs, pictures=ArrayPictures(pixels)),
        replace(pairs, groups=pairs.groups + 1),
    ]
    assert shapes(10).fingerprint == pairs.fingerprint
    assert len({pairs.fingerprint, *(p.fingerprint for p in changed)}) == 4


def test_augmentation_moves_pictures_a_little_and_keeps_their_colour() -> None:
    pixels = on_device(shapes(24, side=32).pictures.rows(np.arange(24)), "cpu")
    moved = augment(pixels, torch.Generator().manual_seed(0))
    assert moved.shape == pixels.shape
    assert not torch.equal(moved, pixels)
    assert moved.min() >= 0 and moved.max() <= 255
    ratio = moved.mean(dim=(2, 3)) / pixels.mean(dim=(2, 3))
    assert ((ratio > 0.8) & (ratio < 1.25)).all()
    assert torch.equal(moved, augment(pixels, torch.Generator().manual_seed(0)))


# --- towers --------------------------------------------------------------------------------------


def test_keeping_every_patch_equals_the_models_own_forward() -> None:
    model = tiny_model().eval()
    pixels = scaled(on_device(shapes(4).pictures.rows(np.arange(4)), "cpu"), PREPROCESSING)
    everything = torch.arange(16).expand(4, 16)
    with torch.inference_mode():
        torch.testing.assert_close(image_vectors(model, pixels, everything), image_vectors(model, pixels))


def test_patches_with_contrast_are_kept_more_often_than_flat_ones() -> None:
    pixels = torch.full((64, 3, 32, 32), 90.0)
    pixels[:, :, 8:16, 8:24] = torch.rand(64, 3, 8, 16) * 255  # patches 5 and 6 of 16
    kept = busy_patches(pixels, 8, 0.25, torch.Generator().manual_seed(0))
    assert kept is not None
    assert kept.shape == (64, 4)
    assert all(len(set(row)) == 4 for row in kept.tolist())
    counts = torch.bincount(kept.flatten(), minlength=16)
    assert counts[5] > 40 and counts[6] > 40
    assert counts[[0, 3, 12, 15]].max() < 25
    assert busy_patches(pixels, 8, 1.0, torch.Generator()) is None


# --- the loop ------------------------------------------------------------------------------------


def test_training_learns_to_find_unseen_combinations_by_words() -> None:
    held_out = COMBINATIONS[::7]
    seen = [c for c in COMBINATIONS if c not in held_out]
    tokenize, model = by_word, tiny_model()
    settings = TrainSettings(
        steps=150, batch_size=64, evaluate_every=50, learning_rate=3e-3, precision="fp32"
    )
    metrics = train(
        model,
        shapes(1500, combinations=seen),
        settings,
        tokenize=tokenize,
        preprocessing=PREPROCESSING,
        validation=shapes(60, seed=1, combinations=held_out),
    )
    assert metrics["en/1"] > 0.6  # six combinations: chance is about 0.17
    assert metrics["ja/1"] > 0.6


def run(
    state: Path | None, *, on_progress: Any = None, model: Any = None, settings: TrainSettings = SETTINGS
) -> Any:
    model = model or tiny_model()
    train(
        model,
        shapes(48),
        settings,
        tokenize=by_word,
        preprocessing=PREPROCESSING,
        state=state,
        on_progress=on_progress,
    )
    return model


class Killed(Exception):
    """Stands for a kill: raised from the progress callback."""


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tmp_path: Path, optimizer: Any) -> None:
    settings = replace(SETTINGS, optimizer=optimizer)
    whole = weights(run(None, settings=settings))
    state = tmp_path / "run.safetensors"

    def kill(progress: Progress) -> None:
        if progress.step == 5:  # saved at 4, in the middle of the second epoch
            raise Killed

    with pytest.raises(Killed):
        run(state, on_progress=kill, settings=settings)
    assert load_state(state)[1]["step"] == 4
    steps: list[int] = []
    resumed = run(state, on_progress=lambda p: steps.append(p.step), model=tiny_model(9), settings=settings)
    assert steps == [5, 6]
    for name, value in weights(resumed).items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=1e-6, msg=name)


def test_a_state_of_other_settings_or_other_pairs_is_not_gone_on_from(tmp_path: Path) -> None:
    state = tmp_path / "run.safetensors"
    settings = replace(SETTINGS, steps=4)
    trainer = Trainer(tiny_model(), settings, tokenize=by_word, preprocessing=PREPROCESSING, state=state)
    trainer.run_epoch(shapes(48))  # three batches; saved at 2
    with pytest.raises(TuningError, match=r"other settings \(steps\)"):
        run(state)
    again = Trainer(tiny_model(), settings, tokenize=by_word, preprocessing=PREPROCESSING, state=state)
    with pytest.raises(TuningError, match="48 pairs and there are 50 now"):
        again.run_epoch(shapes(50))


def test_pairs_may_grow_between_epochs() -> None:
    trainer = Trainer(tiny_model(), SETTINGS, tokenize=by_word, preprocessing=PREPROCESSING)
    trainer.run_epoch(shapes(32))
    assert (trainer.step, trainer.epoch) == (2, 1)
    trainer.run_epoch(shapes(80))
    assert trainer.finished


def test_the_best_weights_seen_are_kept_not_the_last() -> None:
    scores: list[float] = []

    def note(progress: Progress) -> None:
        if progress.metrics:
            scores.append((progress.metrics["en/1"] + progress.metrics["ja/1"]) / 2)

    model = tiny_model()
    settings = replace(SETTINGS, steps=8, learning_rate=0.5)  # far too high: it ends worse than it was
    metrics = train(
        model,
        shapes(48),
        settings,
        tokenize=by_word,
        preprocessing=PREPROCESSING,
        validation=shapes(40, seed=1),
        on_progress=note,
    )
    assert metrics["score"] == max(scores)
    assert metrics["step"] == 2 * (1 + scores.index(max(scores)))


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "muon"},
        {"loss": "sigmoid"},
        {"align_reg": 0.3},
        {"augments": False},
        {"patch_keep": 1.0},
    ],
)
def test_each_option_changes_the_run(change: dict[str, Any]) -> None:
    plain, other = tiny_model(), tiny_model()
    if change.get("loss") == "sigmoid":
        for model in (plain, other):
            model.logit_bias = torch.nn.Parameter(torch.tensor(-5.0))
    settings = replace(SETTINGS, steps=2)
    before, after = (
        run(None, model=plain, settings=settings),
        run(None, model=other, settings=replace(settings, **change)),
    )
    name = "visual_projection.weight"
    assert not torch.equal(weights(before)[name], weights(after)[name])


def test_the_logit_scale_never_passes_one_hundred() -> None:
    model = tiny_model()
    model.logit_scale.data.fill_(MAX_LOGIT_SCALE)
    run(None, model=model, settings=replace(SETTINGS, learning_rate=1.0, steps=3))
    assert model.logit_scale.item() <= MAX_LOGIT_SCALE + 1e-6


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    model = tiny_model()
    model.visual_projection.weight.data.fill_(float("nan"))
    with pytest.raises(TuningError, match="the loss became nan at step 0; lower the learning rate"):
        run(None, model=model)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    settings = TrainSettings(
        steps=100, warmup_share=0.1, learning_rate=1.0, patch_keep=0.5, patch_keep_share=0.8
    )
    rates = [settings.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[99] < 0.001
    assert (settings.keep_at(79), settings.keep_at(80)) == (0.5, 1.0)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": 1}, {"patch_keep": 0.0}, {"patch_keep": 1.5}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TuningError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        TrainSettings(**wrong)


# --- checkpoints ---------------------------------------------------------------------------------


class NoTokenizer:
    def save_pretrained(self, folder: Path) -> None:
        (Path(folder) / "tokenizer.json").write_text("{}")


def test_a_half_precision_folder_loads_as_float32_with_nearly_the_same_vectors(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers import CLIPModel

    model = tiny_model().eval()
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    run_facts = {"seed": 0, "metrics": {"en/1": 0.5}, "note": "真鍮"}
    save_folder(
        folder, model, tokenizer=NoTokenizer(), preprocessor={"do_resize": True}, run=run_facts, half=True
    )
    assert capfd.readouterr() == ("", "")
    loaded = CLIPModel.from_pretrained(folder)
    assert loaded.dtype == torch.float32
    pixels = scaled(on_device(shapes(4).pictures.rows(np.arange(4)), "cpu"), PREPROCESSING)
    with torch.inference_mode():
        cosines = (image_vectors(model, pixels) * image_vectors(loaded, pixels)).sum(dim=1)
    assert cosines.min() > 0.9999
    assert json.loads((folder / "run.json").read_text(encoding="utf-8")) == run_facts
    assert (folder / "notes.txt").read_text() == "mine"
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    n_parameters = sum(p.numel() for p in model.parameters())
    assert (folder / "model.safetensors").stat().st_size < 2 * n_parameters + 30_000
    assert [p.name for p in tmp_path.iterdir()] == ["tuned"]  # no draft is left


def test_what_training_keeps_holds_no_pickle(tmp_path: Path) -> None:
    run(tmp_path / "run.safetensors")
    save_folder(tmp_path / "tuned", tiny_model(), tokenizer=NoTokenizer(), preprocessor={}, run={})
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or path.suffix in {".json", ".safetensors"}


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(b"not tensors at all")
    with pytest.raises(TuningError, match="is not a training state"):
        load_state(path)
    save_state(path, {"a": torch.ones(2)}, {"step": 3})
    tensors, facts = load_state(path)
    assert facts == {"step": 3}
    assert torch.equal(tensors["a"], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]
