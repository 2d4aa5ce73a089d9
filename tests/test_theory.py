"""The directions that theory gives for contrastive training, on the benchmark's toy world, three seeds."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

SEEDS = range(3)


@pytest.fixture(scope="module")
def theory() -> Iterator[ModuleType]:
    """benchmarks/theory.py as a module, on one thread: its matrices are too small for more."""
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "theory.py"
    spec = importlib.util.spec_from_file_location("benchmark_theory", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(threads)
    del sys.modules[spec.name]


def test_the_margin_grows_with_lambda(theory: ModuleType) -> None:
    """At CLIP's temperature and up to lambda .3; beyond that the benchmark shows it shrink again."""
    none, some, more = theory.margins(SEEDS, lambdas=(0.0, 0.1, 0.3))
    assert theory.difference(some, none).low > 0
    assert theory.difference(more, some).low > 0


def test_regressing_embeddings_fails_zero_shot_with_bias_and_contrast_does_not(theory: ModuleType) -> None:
    plain, biased = theory.biased(SEEDS, biases=(0.0, 4.0))
    loss = {
        name: theory.difference(theory.accuracies(plain[name]), theory.accuracies(biased[name]))
        for name in plain
    }
    assert (
        theory.difference(theory.accuracies(plain["square, dot"]), [1.0] * 3).low > -0.01
    )  # fails by bias alone
    assert loss["square, dot"].low > 0.5
    assert loss["square, cos"].low > 1 / (3 * theory.N_CLASSES)  # the paper's bound on the error
    assert loss["contrastive"].high < 0.01


def test_duplicates_hurt_pairs_the_more_the_larger_the_batch_and_groups_not(theory: ModuleType) -> None:
    small, large = theory.duplicated(SEEDS, batches=(10, 80), positives=("pair", "groups"))
    of = theory.accuracies
    assert theory.difference(of(small["pair"]), of(large["pair"])).low > 0.05
    assert theory.difference(of(large["groups"]), of(small["groups"])).low > -0.01
    gains = [theory.difference(of(row["groups"]), of(row["pair"])) for row in (small, large)]
    assert gains[0].low > 0
    assert gains[0].high < gains[1].low
