"""Curves from units to logits, fitted to labels: a shared slope and shift, a shrunken bias for each label.

    logit[n, c] = slope * unit[n, c] + shift + bias[c],   bias[c] ~ Normal(0, spread^2)

The maximum a posteriori by Newton's method; the biases' spread, which says how far labels may differ from the
shared curve, by empirical Bayes (MacKay 1992: EM with Laplace's approximation). A label with few examples
stays near the shared curve, and without any example all stay at the curve that was there before.
Knows no thresholds and no pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.scoring.units import Curve, Floats

Float32s = NDArray[np.float32]

_ROUNDS = 12  # of the biases' spread
_STEPS = 8  # of Newton's method in each
_CELLS = 1 << 20  # of a block of pictures x labels
_PRIOR_SPREAD, _PRIOR_LABELS = 1.0, 3.0  # of the biases, and how many labels' worth of evidence that is
_SHIFT_SPREAD = 3.0  # of the shared shift about the default's: three logits
_CLOSE = 1e-3  # logits; steps below are the end
_STILL = 0.02  # change of the biases' spread that is none


@dataclass(frozen=True, slots=True)
class Fitted:
    """The shared curve, each label's bias (C,) and the spread of biases."""

    curve: Curve
    biases: Floats
    spread: float


def fit_alone(scores: NDArray[np.float32], truth: NDArray[np.int8], default: Curve) -> Fitted:
    """For labels that stand alone: scores (N, C) in units; truth 1 has, 0 has not, -1 unknown.

    The slope is never negative: at 0, confidences are the labels' frequencies.
    """
    return _fitted(_Problem(scores, truth, default, exclusive=False))


def fit_group(scores: NDArray[np.float32], truth: NDArray[np.int8], default: Curve) -> Fitted:
    """For the labels of one exclusive group, as `fit_alone`, with the group's softmax with "none of these".

    A picture that is known to lack some of the labels has one of the others, or none of these.
    """
    kept = (truth >= 0).any(axis=1) & ((truth == 1).sum(axis=1) <= 1)
    return _fitted(_Problem(scores[kept], truth[kept], default, exclusive=True))


@dataclass(frozen=True, slots=True)
class _State:
    """What is fitted."""

    shared: Floats  # (2,): slope, shift
    biases: Floats  # (C,)

    def moved(self, shared: Floats, biases: Floats, size: float) -> _State:
        ahead = self.shared - size * shared
        return _State(np.array([max(ahead[0], 0.0), ahead[1]]), self.biases - size * biases)


@dataclass(frozen=True, slots=True)
class _Sums:
    """The negative log likelihood at a state, and its derivatives, summed over pictures."""

    misfit: float
    errors: Floats  # (2, C): of probabilities, times the scores and bare
    weights: Floats  # (3, C): second derivatives, times the squared scores, the scores and bare
    own: Floats  # (C,): second derivative by each bias alone


@dataclass(frozen=True, slots=True)
class _Problem:
    scores: NDArray[np.float32]  # (N, C)
    truth: NDArray[np.int8]  # (N, C)
    default: Curve
    exclusive: bool

    def at(self, state: _State) -> _Sums:
        n_labels = self.scores.shape[1]
        misfit, errors, weights, own = (
            0.0,
            np.zeros((2, n_labels)),
            np.zeros((3, n_labels)),
            np.zeros(n_labels),
        )
        slope, shifts = np.float32(state.shared[0]), (state.shared[1] + state.biases).astype(np.float32)
        step = max(1, _CELLS // max(n_labels, 1))
        for start in range(0, len(self.scores), step):
            scores, truth = self.scores[start : start + step], self.truth[start : start + step]
            likelihood = _softmax if self.exclusive else _sigmoid
            loss, p, target = likelihood(slope * scores + shifts, truth)
            misfit += loss
            error, curved = p - target, p * (1 - p)
            if not self.exclusive:
                error, curved = error * (truth >= 0), curved * (truth >= 0)
            # of a softmax, diag(p) is more than diag(p) - p p^T: steps are shorter, and never wrong
            weight = p if self.exclusive else curved
            slanted = weight * scores
            errors += [_summed(error * scores), _summed(error)]
            weights += [_summed(slanted * scores), _summed(slanted), _summed(weight)]
            own += _summed(curved)
        return _Sums(misfit, errors, weights, own)

    def loss(self, sums: _Sums, state: _State, spread: float) -> float:
        away = self._away(state)
        return sums.misfit + float(away @ (self._priors * away) + np.sum(state.biases**2) / spread**2) / 2

    def step(self, sums: _Sums, state: _State, spread: float) -> tuple[Floats, Floats]:
        """Newton's, for the shared curve (2,) and the biases (C,).

        The Hessian is an arrow: 2 x 2, its sides, and a diagonal; solved by Schur's complement.
        """
        own = sums.weights[2] + spread**-2  # (C,)
        sides = sums.weights[1:]  # (2, C)
        slant, mixed, bare = sums.weights.sum(axis=1)
        corner = np.array([[slant, mixed], [mixed, bare]]) + np.diag(self._priors)
        downhill = sums.errors[1] + state.biases / spread**2  # (C,)
        both = sums.errors.sum(axis=1) + self._priors * self._away(state)
        schur = corner - (sides / own) @ sides.T
        right = both - (sides / own) @ downhill
        shared: Floats = np.asarray(np.linalg.solve(schur + 1e-9 * np.eye(2), right))
        if state.shared[0] <= 0 <= shared[0]:  # the slope stays at its end
            shared = np.array([0.0, right[1] / schur[1, 1]])
        biases: Floats = (downhill - shared @ sides) / own
        return shared, biases

    def _away(self, state: _State) -> Floats:
        found: Floats = state.shared - np.array([self.default.slope, self.default.shift])
        return found

    @property
    def _priors(self) -> Floats:
        """How sure the default is: its slope within its own size, its shift within three logits."""
        return np.array([self.default.slope**-2, _SHIFT_SPREAD**-2])


def _fitted(problem: _Problem) -> Fitted:
    state = _State(
        np.array([problem.default.slope, problem.default.shift]), np.zeros(problem.scores.shape[1])
    )
    there = (problem.truth >= 0).any(axis=0)
    spread = _PRIOR_SPREAD
    if not there.any():
        return Fitted(problem.default, state.biases, spread)
    sums = problem.at(state)
    for _ in range(_ROUNDS):
        before = spread
        state, sums = _descended(problem, state, sums, spread)
        evidence = float(np.sum(state.biases[there] ** 2 + 1 / (sums.own[there] + spread**-2)))
        n = there.sum() + _PRIOR_LABELS
        spread = float(np.sqrt((evidence + _PRIOR_LABELS * _PRIOR_SPREAD**2) / n))
        if abs(spread - before) < _STILL * before:
            break
    return Fitted(Curve(float(state.shared[0]), float(state.shared[1])), state.biases, spread)


def _descended(problem: _Problem, state: _State, sums: _Sums, spread: float) -> tuple[_State, _Sums]:
    """Some of Newton's steps on, each halved until the loss is lower."""
    for _ in range(_STEPS):
        shared, biases = problem.step(sums, state, spread)
        here, size = problem.loss(sums, state, spread), 1.0
        farthest = max(np.abs(shared).max(), np.abs(biases).max(initial=0.0))
        while size * farthest > _CLOSE:
            ahead = state.moved(shared, biases, size)
            then = problem.at(ahead)
            if problem.loss(then, ahead, spread) <= here:
                state, sums = ahead, then
                break
            size /= 2
        else:
            break
    return state, sums


def _sigmoid(logits: Float32s, truth: NDArray[np.int8]) -> tuple[float, Float32s, Float32s]:
    """The negative log likelihood of what is known, the probabilities (N, C), and what they should be."""
    small = np.exp(-np.abs(logits))
    p = np.where(logits >= 0, 1, small) / (1 + small)
    target = (truth == 1).astype(np.float32)
    each = np.maximum(logits, 0) + np.log1p(small) - logits * target
    return float((each * (truth >= 0)).sum(dtype=np.float64)), p, target


def _softmax(logits: Float32s, truth: NDArray[np.int8]) -> tuple[float, Float32s, Float32s]:
    """As `_sigmoid`, of exclusive labels and none of them.

    What is not known is summed over, and should be as it is among the labels that are not ruled out.
    """
    top = np.maximum(logits.max(axis=1, initial=0), 0)
    odds, none = np.exp(logits - top[:, None]), np.exp(-top)
    has_one = (truth == 1).any(axis=1)
    left = odds * np.where(has_one[:, None], truth == 1, truth < 0)
    total, possible = odds.sum(axis=1) + none, left.sum(axis=1) + none * ~has_one
    possible = np.maximum(possible, np.finfo(np.float32).tiny)
    loss = float((np.log(total) - np.log(possible)).sum(dtype=np.float64))
    return loss, odds / total[:, None], left / possible[:, None]


def _summed(values: NDArray[np.float32]) -> Floats:
    found: Floats = values.sum(axis=0, dtype=np.float64)
    return found
