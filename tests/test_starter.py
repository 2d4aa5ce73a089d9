"""The starter model as bundled, its figures, and the recipe that made it on a few small shards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from coloured_shapes import shapes
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.demo.recipe.architecture import PREPROCESSING, new_model
from clipsearch.demo.recipe.assessment import assess
from clipsearch.demo.recipe.cli import CATALOGUE, STARTER, compile_starter, evaluate_starter, starter
from clipsearch.demo.recipe.shards import read_pairs
from clipsearch.demo.recipe.tokenizer import END, START, train_tokenizer
from clipsearch.demo.recipe.training import SETTINGS, make_starter
from clipsearch.encoder import Encoder
from clipsearch.errors import TableError, TuningError
from clipsearch.tuning.settings import Progress

TEXTS = [
    "Polished brass hex bolt, fully threaded, M8 x 40",
    "真鍮製六角ボルト M8×40 全ねじ",
    "BRASS   Hex-Bolt",
    "naïve café №5, ½″ & more!?",
    "a",
    "ボルト " * 60,  # beyond the context
]


@pytest.fixture(scope="module")
def bundled() -> Any:
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(STARTER).eval()


# --- the bundled model ---------------------------------------------------------------------------


def test_the_bundled_model_loads_in_plain_transformers_as_float32(bundled: Any) -> None:
    assert bundled.dtype == torch.float32
    assert bundled.config.vision_config.image_size == 128
    text = bundled.config.text_config
    assert (text.bos_token_id, text.eos_token_id, text.pad_token_id) == (
        text.vocab_size - 2,
        text.vocab_size - 1,
        text.vocab_size - 1,
    )


def test_the_bundled_tokenizer_gives_the_same_ids_by_every_door() -> None:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, CLIPTokenizerFast

    plain = Tokenizer.from_file(str(STARTER / "tokenizer.json"))
    auto, fast = AutoTokenizer.from_pretrained(STARTER), CLIPTokenizerFast.from_pretrained(STARTER)
    for text in TEXTS:
        assert auto(text).input_ids == fast(text).input_ids == plain.encode(text).ids
    ids = auto(TEXTS[0]).input_ids
    assert (ids[0], ids[-1]) == (auto.bos_token_id, auto.eos_token_id)
    assert ids.count(auto.eos_token_id) == 1  # nothing is unknown


def test_our_vectors_of_the_bundled_model_are_transformers_own(bundled: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, CLIPImageProcessorPil

    processor, tokenizer = (
        CLIPImageProcessorPil.from_pretrained(STARTER),
        AutoTokenizer.from_pretrained(STARTER),
    )
    pictures = shapes(6, side=160).pictures.rows(np.arange(6))
    with torch.inference_mode():
        pixels = processor(list(pictures), return_tensors="pt").pixel_values
        image = bundled.get_image_features(pixel_values=pixels).pooler_output
        ids = tokenizer(TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt")
        text = bundled.get_text_features(**ids).pooler_output
    with Encoder.open(f"local-dir:{STARTER}", device="cpu", cache=tmp_path) as encoder:
        ours_image, ours_text = encoder.encode_images(list(pictures)), encoder.encode_texts(TEXTS)
    for ours, theirs in ((ours_image, image), (ours_text, text)):
        theirs = torch.nn.functional.normalize(theirs, dim=1).numpy()
        assert (ours * theirs).sum(axis=1).min() > 0.9999


def test_what_is_bundled_is_small_and_holds_no_pickle() -> None:
    found = [path for path in STARTER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) < 20_000_000
    assert {path.suffix for path in found} == {".json", ".safetensors", ".onnx"}
    run = json.loads((STARTER / "run.json").read_text(encoding="utf-8"))
    assert run["settings"]["seed"] == 0
    assert len(run["data_sha256"]) == 64


@pytest.mark.slow
def test_unseen_combinations_are_found_by_their_descriptions_in_both_languages(tmp_path: Path) -> None:
    """The README's figures: Recall@10 of at least 0.9 among held-out parts."""
    with Encoder.open(f"local-dir:{STARTER}", device="cpu", cache=tmp_path) as encoder:
        found = assess(encoder, CATALOGUE)
    values = {(r.language, r.gallery, r.metric): r.value for r in found.rows if r.right == "part"}
    assert found.n_parts >= 50
    for language in ("English", "Japanese"):
        held_out = values[language, "held-out parts", "hit@10"]
        assert held_out.mean >= 0.9
        assert held_out.low <= held_out.mean <= held_out.high
        assert values[language, "whole catalogue", "hit@10"].mean <= held_out.mean + 1e-9


# --- the tokenizer -------------------------------------------------------------------------------


CAPTIONS = ["a polished brass hex bolt", "研磨真鍮製六角ボルト", "a steel washer", "鋼製の平ワッシャー"] * 4


@cache
def small_tokenizer() -> Any:
    return train_tokenizer(CAPTIONS, n_merges=200)


def test_a_word_is_cut_alike_wherever_it_stands() -> None:
    tokenizer = small_tokenizer()
    bolt = tokenizer.tokenize("ボルト")
    assert bolt == [tokenizer.tokenize("六角ボルト")[-1]]
    inside = [t.removesuffix("</w>") for t in bolt]
    assert tokenizer.tokenize("ボルト鋼製")[: len(bolt)] == inside
    assert tokenizer.tokenize("brass") == ["brass</w>"]


@given(st.text(max_size=40))
def test_no_text_is_unknown(text: str) -> None:
    words = text.replace(START, "").replace(END, "")
    tokenizer = small_tokenizer()
    ids = tokenizer(words).input_ids
    assert ids[0] == tokenizer.bos_token_id
    assert ids.index(tokenizer.eos_token_id) == len(ids) - 1


# --- the recipe ----------------------------------------------------------------------------------


def write_shard(folder: Path, name: str, n: int, *, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    pairs = shapes(n, seed=seed, side=128)
    lines = [
        {"group": f"g{pairs.groups[i]}", "en": list(pairs.captions[i][0]), "ja": list(pairs.captions[i][1])}
        for i in range(n)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    np.save(folder / f"{name}.npy", pairs.pictures.rows(np.arange(n)))


def test_shards_read_as_one_set_of_pairs(tmp_path: Path) -> None:
    for seed, (name, n) in enumerate([("00000", 5), ("00001", 3)]):
        write_shard(tmp_path, name, n, seed=seed)
    np.save(tmp_path / "00002.npy", np.zeros((4, 128, 128, 3), dtype=np.uint8))  # its lines are not there yet
    pairs = read_pairs(tmp_path)
    assert len(pairs) == 8
    rows = pairs.pictures.rows(np.array([7, 0, 4, 5]))
    first, second = (np.load(tmp_path / f"{name}.npy") for name in ("00000", "00001"))
    np.testing.assert_array_equal(rows, [second[2], first[0], first[4], second[0]])
    english, japanese = pairs.captions[5]
    told = shapes(3, seed=1, side=128).captions[0]
    assert (english[:2], japanese[:2]) == told


def test_a_size_at_the_end_of_a_description_is_something_the_model_has_read(tmp_path: Path) -> None:
    write_shard(tmp_path, "00000", 40, seed=0)
    pairs = read_pairs(tmp_path)
    sized = [(english[2:], japanese[2:]) for english, japanese in pairs.captions]
    assert all(len(english) == len(japanese) == 2 for english, japanese in sized)
    for (full, *_), (english, japanese) in zip((row[0] for row in pairs.captions), sized, strict=True):
        assert english[0].startswith(f"{full}, ")
        assert japanese[0].split(" ", 1)[1] == english[0].removeprefix(f"{full}, ").replace(" x ", "×")
    kinds = "".join(text for english, _ in sized for text in english)
    assert all(sign in kinds for sign in ("M1", " x ", '"', "Ø", " mm"))
    assert read_pairs(tmp_path).captions == pairs.captions


def test_a_folder_without_shards_and_a_damaged_shard_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="no shards"):
        read_pairs(tmp_path)
    write_shard(tmp_path, "00000", 4, seed=0)
    np.save(tmp_path / "00000.npy", np.zeros((3, 128, 128, 3), dtype=np.uint8))
    with pytest.raises(TuningError, match=r"00000.jsonl has 4 lines and its pictures are \(3, 128, 128, 3\)"):
        read_pairs(tmp_path)


def test_the_recipe_writes_a_model_that_the_encoder_opens(tmp_path: Path) -> None:
    write_shard(tmp_path / "train", "00000", 12, seed=0)
    write_shard(tmp_path / "val", "00000", 6, seed=1)
    data = ["--data", str(tmp_path / "train"), "--validation", str(tmp_path / "val")]
    arguments = [*data, "--out", str(tmp_path / "made"), "--steps", "2", "--batch", "6", "--threads", "1"]
    result = CliRunner().invoke(starter, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "step 2/2" in result.stderr
    run = json.loads((tmp_path / "made" / "run.json").read_text(encoding="utf-8"))
    assert run["pictures"] == 12
    assert run["settings"]["steps"] == 2
    assert set(run["validation"]) >= {"en/1", "en/10", "ja/1", "ja/10"}
    with Encoder.open(f"local-dir:{tmp_path / 'made'}", device="cpu", cache=tmp_path / "cache") as encoder:
        assert encoder.encode_texts(["a red disc"]).shape == (1, 128)
        assert encoder.preprocessing == PREPROCESSING
    again = CliRunner().invoke(compile_starter, ["--model", str(tmp_path / "made")], catch_exceptions=False)
    assert "with its compiled towers" in again.stderr


def test_shards_that_appear_during_the_run_are_used_and_a_kill_is_survived(tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=5, batch_size=4, evaluate_every=1, precision="fp32")
    write_shard(tmp_path / "train", "00000", 8, seed=0)
    steps: list[int] = []

    def watch(progress: Progress) -> None:
        steps.append(progress.step)
        if steps == [1]:
            write_shard(tmp_path / "train", "00001", 4, seed=1)
            raise InterruptedError  # stands for a kill, in the middle of the first epoch

    def go() -> dict[str, float]:
        state = tmp_path / "run.safetensors"
        return make_starter(tmp_path / "train", tmp_path / "made", settings, state=state, on_progress=watch)

    with pytest.raises(InterruptedError):
        go()
    go()
    assert steps == [1, 2, 3, 4, 5]
    run = json.loads((tmp_path / "made" / "run.json").read_text(encoding="utf-8"))
    assert (run["pictures"], run["epochs"]) == (12, 2)


def test_the_same_seed_gives_the_same_model() -> None:
    first, again, other = (new_model(small_tokenizer(), seed=s) for s in (0, 0, 1))
    name = "visual_projection.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    n_parameters = sum(p.numel() for p in new_model(small_tokenizer()).parameters())
    assert 3.5e6 < n_parameters < 4.5e6


# --- the assessment ------------------------------------------------------------------------------


def write_catalogue(folder: Path, rows: Sequence[dict[str, str]]) -> Path:
    import csv

    path = folder / "parts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_assessment_reports_what_a_person_and_a_program_read() -> None:
    table = CliRunner().invoke(evaluate_starter, [], catch_exceptions=False).stdout
    assert "Recall@10" in table
    assert table.count("held-out parts (") - 1 == table.count("whole catalogue (") == 4
    report = json.loads(CliRunner().invoke(evaluate_starter, ["--json"], catch_exceptions=False).stdout)
    assert {row["metric"] for row in report["rows"]} >= {"hit@1", "recall@10", "mrr"}
    assert report["n_gallery_all"] > report["n_pictures"] == 2 * report["n_parts"]


def test_a_catalogue_without_what_is_needed_is_refused(tmp_path: Path) -> None:
    path = write_catalogue(tmp_path, [{"split": "test", "description": "a bolt", "image": "a.jpg"}])
    with Encoder.open(f"local-dir:{STARTER}", device="cpu", cache=tmp_path) as encoder:
        with pytest.raises(TableError, match="lacks size, description_ja, image_2"):
            assess(encoder, path)
        with pytest.raises(TableError, match="cannot be read"):
            assess(encoder, tmp_path / "none.csv")
        with pytest.raises(TableError, match="no part of the split 'unseen'"):
            assess(encoder, CATALOGUE, split="unseen")
