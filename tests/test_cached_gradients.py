"""Gradients in chunks against the same batch at once, on a tiny CLIP of transformers' own classes."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import CONTEXT, SIZE, make_clip

from clipsearch.errors import TuningError
from clipsearch.tuning.cached import cached_backward
from clipsearch.tuning.losses import Objective
from clipsearch.tuning.towers import image_vectors, text_vectors

N_ROWS = 10
OBJECTIVES = [
    Objective("contrastive", "pair"),
    Objective("contrastive", "groups", 0.3),
    Objective("contrastive", "multi"),
    Objective("sigmoid", "groups", 0.3),
    Objective("sigmoid", "multi"),
]


class Run:
    """A tiny CLIP in training mode with a logit bias, and one batch: pictures and two channels of texts."""

    def __init__(
        self, folder: Path, objective: Objective, *, dropout: float, frozen_text: bool = False
    ) -> None:
        from transformers import CLIPModel

        self.objective = objective
        self.model: Any = CLIPModel.from_pretrained(folder)
        for tower in (self.model.vision_model, self.model.text_model):
            for layer in tower.encoder.layers:
                layer.self_attn.dropout = dropout
                layer.mlp = torch.nn.Sequential(layer.mlp, torch.nn.Dropout(dropout))
        self.bias = torch.nn.Parameter(torch.tensor(-3.0))
        if frozen_text:
            self.model.text_model.requires_grad_(False)
            self.model.text_projection.requires_grad_(False)
        draw = torch.Generator().manual_seed(7)
        self.pixels = torch.randn(N_ROWS, 3, SIZE, SIZE, generator=draw)
        self.texts = [torch.randint(3, 400, (N_ROWS, CONTEXT), generator=draw) for _ in range(2)]
        groups = torch.arange(N_ROWS) % 7
        self.same = groups[:, None] == groups[None, :]
        self.model.train()

    def encode(self, rows: slice) -> list[torch.Tensor]:
        image = image_vectors(self.model, self.pixels[rows])
        return [image, *(text_vectors(self.model, ids[rows]) for ids in self.texts)]

    def loss(self, image: torch.Tensor, *texts: torch.Tensor) -> torch.Tensor:
        scale = self.model.logit_scale.exp()
        options = {"scale": scale, "bias": self.bias, "same": self.same}
        return torch.stack([self.objective(image, text, **options) for text in texts]).mean()

    def at_once(self, chunk: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and gradients with the whole batch's graph in memory; dropout draws by chunk."""
        torch.manual_seed(3)
        parts = [self.encode(slice(i, min(i + chunk, N_ROWS))) for i in range(0, N_ROWS, chunk)]
        value = self.loss(*(torch.cat(kind) for kind in zip(*parts, strict=True)))
        value.backward()
        return value.detach(), self._gradients()

    def in_chunks(self, chunk: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed(3)
        value = cached_backward(self.encode, self.loss, n_rows=N_ROWS, chunk=chunk)
        return value, self._gradients()

    def _gradients(self) -> dict[str, torch.Tensor]:
        named = [*self.model.named_parameters(), ("bias", self.bias)]
        found = {name: p.grad.clone() for name, p in named if p.grad is not None}
        for _, p in named:
            p.grad = None
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices of 32 columns: a second thread only waits for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def assert_same_gradients(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(
            got[name], gradient, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_chunks_give_the_whole_batchs_gradients_with_dropout(folder: Path, objective: Objective) -> None:
    run = Run(folder, objective, dropout=0.2)
    expected_loss, expected = run.at_once(chunk=4)
    assert expected["logit_scale"].abs() > 1e-4
    assert ("bias" in expected) == (objective.loss == "sigmoid")
    loss, got = run.in_chunks(chunk=4)  # 4, 4 and 2 rows
    torch.testing.assert_close(loss, expected_loss)
    assert not loss.requires_grad
    assert_same_gradients(got, expected)


def test_without_dropout_any_chunk_gives_the_plain_steps_gradients(folder: Path) -> None:
    run = Run(folder, OBJECTIVES[0], dropout=0.0)
    expected_loss, expected = run.at_once(chunk=N_ROWS)
    for chunk in (3, N_ROWS, 99):
        loss, got = run.in_chunks(chunk)
        torch.testing.assert_close(loss, expected_loss)
        assert_same_gradients(got, expected)


def test_other_random_numbers_in_the_second_pass_would_be_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(folder, OBJECTIVES[0], dropout=0.2)
    _, expected = run.at_once(chunk=4)
    monkeypatch.setattr("clipsearch.tuning.cached._replayed", lambda state: contextlib.nullcontext())
    _, got = run.in_chunks(chunk=4)
    with pytest.raises(AssertionError):
        assert_same_gradients(got, expected)


def test_the_next_step_draws_what_it_would_have_drawn(folder: Path) -> None:
    run = Run(folder, OBJECTIVES[0], dropout=0.2)
    run.at_once(chunk=4)
    expected = torch.rand(5)
    run.in_chunks(chunk=4)
    assert torch.equal(torch.rand(5), expected)


def test_gradients_are_added_to_those_that_are_there(folder: Path) -> None:
    run = Run(folder, OBJECTIVES[0], dropout=0.0)
    _, once = run.in_chunks(chunk=4)
    for _ in range(2):
        cached_backward(run.encode, run.loss, n_rows=N_ROWS, chunk=4)
    assert_same_gradients(run._gradients(), {name: 2 * gradient for name, gradient in once.items()})


def test_a_frozen_tower_costs_no_gradient_and_the_other_gets_all_of_its_own(folder: Path) -> None:
    run = Run(folder, OBJECTIVES[1], dropout=0.2, frozen_text=True)
    _, expected = run.at_once(chunk=4)
    assert not any(name.startswith("text") for name in expected)
    _, got = run.in_chunks(chunk=4)
    assert_same_gradients(got, expected)


def test_autocast_around_everything_still_teaches_the_weights(folder: Path) -> None:
    """The casts of the first pass have no graph; taken from a cache they would stop every gradient."""
    run = Run(folder, OBJECTIVES[0], dropout=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        _, got = run.in_chunks(chunk=4)
    _, expected = run.in_chunks(chunk=4)
    assert got.keys() == expected.keys()
    name = "visual_projection.weight"
    cosine = torch.nn.functional.cosine_similarity(got[name].flatten(), expected[name].flatten(), dim=0)
    assert cosine > 0.95


def test_only_one_chunks_activations_are_kept_at_a_time(folder: Path) -> None:
    run = Run(folder, OBJECTIVES[0], dropout=0.2)
    with kept_bytes() as at_once:
        run.at_once(chunk=2)
    with kept_bytes() as in_chunks:
        run.in_chunks(chunk=2)
    assert in_chunks["most"] < 0.3 * at_once["most"]


@contextlib.contextmanager
def kept_bytes() -> Iterator[dict[str, int]]:
    """How many bytes autograd kept for the backward pass, at the most; weights are not counted."""
    count = {"now": 0, "most": 0}

    class Kept:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor
            weakref.finalize(self, self.add, -tensor.nbytes)
            self.add(tensor.nbytes)

        @staticmethod
        def add(n_bytes: int) -> None:
            count["now"] += n_bytes
            count["most"] = max(count["most"], count["now"])

    def pack(tensor: torch.Tensor) -> Any:
        return tensor if tensor.is_leaf or tensor._base is not None else Kept(tensor)

    def unpack(kept: Any) -> torch.Tensor:
        return kept.tensor if isinstance(kept, Kept) else kept

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield count


def test_an_empty_batch_or_chunk_is_refused() -> None:
    with pytest.raises(TuningError, match="at least 1"):
        cached_backward(lambda rows: [], lambda: torch.zeros(()), n_rows=4, chunk=0)
