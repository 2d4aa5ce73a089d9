"""How small a difference a test can find, and how many queries a difference needs. Looks at no model.

Sizes are counted in groups, which is what varies: ten queries about one part may say no more than one. For a
test of level a (two-sided) and power b, on the mean of paired differences, with z normal quantiles. Holm
over M metrics: pass level / M, at which the first of them must pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from clipsearch.evaluation.grouping import Groups, grouped

LEVEL, POWER = 0.05, 0.8
_PRECISE = 1e-9  # where the halving of a difference stops


@dataclass(frozen=True, slots=True)
class Needed:
    """Of a sample that finds a difference: its groups, and what is still missing."""

    n_groups: float  # whole, or inf where no sample would do
    more_groups: float
    more_queries: float  # at as many queries a group as there are now


@dataclass(frozen=True, slots=True)
class Plan:
    """What a comparison of two shares can find, known before either system has been run."""

    n_queries: int
    n_groups: int
    effective_groups: float
    level: float  # that the first of the metrics must pass
    power: float
    difference: float  # the smallest true gain it finds; inf where it finds none


def plan(
    groups: Groups, expected: float, *, n_metrics: int = 1, level: float = LEVEL, power: float = POWER
) -> Plan:
    """The smallest gain over a share `expected` (Hit@k, top-1) that the queries of groups (N,) can find.

    On the safe side thrice: a group's queries are taken to agree always, the two systems to be independent,
    and every metric to need Holm's first and hardest step. Once there are values, `variance_per_group` and
    `detectable_difference` say it of these. Raises ValueError for less than one metric.
    """
    _between(expected, "expected")
    if n_metrics < 1:
        raise ValueError(f"n_metrics must be at least 1, got {n_metrics}")
    n, strict = effective_groups(groups), level / n_metrics

    def is_found(gain: float) -> bool:
        differing = independent_discordance(expected, min(1.0, expected + gain))
        return gain_groups_needed(gain, discordance=max(gain, differing), level=strict, power=power) <= n

    gain = 1 - expected
    if not gain or not is_found(gain):
        gain = math.inf
    else:
        low = 0.0
        while gain - low > _PRECISE:
            middle = (low + gain) / 2
            low, gain = (low, middle) if is_found(middle) else (middle, gain)
    return Plan(len(groups), len({str(group) for group in groups}), n, strict, power, gain)


def variance_per_group(
    differences: ArrayLike, groups: Groups | None = None, *, weights: ArrayLike | None = None
) -> float:
    """G times the squared standard error of the mean of differences (N,): a group's share of the noise.

    Groups (N,) of G kinds and unlike sizes: with group sums s and sizes c (of weights, where given) it is
    G^2 / (G - 1) * sum (s - mean c)^2 / (sum c)^2, the linearised variance of a ratio (Cochran 1977, sec.
    6.4); for groups of one value the sample variance. NaN with fewer than two groups.
    """
    held = grouped(differences, groups, weights=weights)
    n = held.n_groups
    if n < 2:
        return float("nan")
    residuals = held.sums - held.mean * held.weights
    return float(n**2 / (n - 1) * (residuals**2).sum() / held.weights.sum() ** 2)


def independent_discordance(before: float, after: float) -> float:
    """Share of queries that one of two systems answers and the other doesn't, were they independent.

    before, after: shares that are right, p and q: p (1 - q) + q (1 - p). Two encoders find the same queries
    easy, so the true share is lower, and what is planned with this is on the safe side (Connor 1987).
    """
    _between(before, "before")
    _between(after, "after")
    return before * (1 - after) + after * (1 - before)


def detectable_difference(
    n_groups: float, *, variance: float, level: float = LEVEL, power: float = POWER
) -> float:
    """The smallest true difference that n_groups groups find with this power.

    variance: of `variance_per_group`, from a pilot or another model. d = (z_(1-a/2) + z_b) sqrt(v / (n -
    z_(1-a/2)^2 / 2)), whose second term makes up for a variance that is itself estimated (Guenther 1981).
    inf where the sign-flip test on so few groups cannot reach the level, whatever they say.
    """
    z_level, z_power = _quantiles(level, power)
    _not_negative(variance)
    if n_groups < fewest_groups(level):
        return math.inf
    return (z_level + z_power) * math.sqrt(variance / (n_groups - z_level**2 / 2))


def groups_needed(difference: float, *, variance: float, level: float = LEVEL, power: float = POWER) -> float:
    """The fewest groups that find a true difference with this power: the inverse of `detectable_difference`.

    A whole number, or inf for a difference of 0; its sign doesn't matter.
    """
    z_level, z_power = _quantiles(level, power)
    _not_negative(variance)
    if not difference:
        return math.inf
    n = (z_level + z_power) ** 2 * variance / difference**2 + z_level**2 / 2
    return max(math.ceil(n - 1e-9), fewest_groups(level))


def detectable_gain(
    n_groups: float, *, discordance: float, level: float = LEVEL, power: float = POWER
) -> float:
    """The smallest true difference of two shares (Hit@k, top-1) that n_groups groups find with this power.

    discordance: share of queries that only one of the systems answers; before the run that of
    `independent_discordance` is a safe one. With several queries a group pass `effective_groups`. inf where
    even differing one way everywhere would not be found.
    """
    if n_groups < gain_groups_needed(discordance, discordance=discordance, level=level, power=power):
        return math.inf
    low, high = 0.0, discordance
    while high - low > _PRECISE:
        middle = (low + high) / 2
        if gain_groups_needed(middle, discordance=discordance, level=level, power=power) <= n_groups:
            high = middle
        else:
            low = middle
    return high


def gain_groups_needed(
    difference: float, *, discordance: float, level: float = LEVEL, power: float = POWER
) -> float:
    """The fewest groups that find a true difference of two shares with this power, for McNemar's exact test.

    n = (z_(1-a/2) sqrt(D) + z_b sqrt(D - d^2))^2 / d^2 + 1 / |d| with discordance D: Connor 1987 for the test
    without a correction, and the usual 1 / |d| for one that is exact, without which it falls short of the
    power (a test has the figures). A whole number, or inf for a difference of 0. Raises ValueError for a
    difference that is larger than the discordance.
    """
    z_level, z_power = _quantiles(level, power)
    _between(discordance, "discordance")
    if abs(difference) > discordance:
        raise ValueError(
            f"a difference of {difference:g} needs as many queries that differ, not {discordance:g}: give a"
            " higher discordance"
        )
    if not difference:
        return math.inf
    root = z_level * math.sqrt(discordance) + z_power * math.sqrt(discordance - difference**2)
    n = root**2 / difference**2 + 1 / abs(difference)
    return max(math.ceil(n - 1e-9), fewest_groups(level))


def effective_groups(groups: Groups, *, weights: ArrayLike | None = None) -> float:
    """As many groups of one size as say what these do, where a group's queries always agree: a safe count.

    groups (N,) of sizes c (of weights (N,), where given): (sum c)^2 / sum c^2 (Kish 1965, sec. 8.2), the
    number of groups where sizes are alike and fewer where they are not. 0 for no group.
    """
    sizes = grouped(np.ones(len(groups)), groups, weights=weights).weights
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def needed(
    difference: float,
    differences: ArrayLike,
    groups: Groups | None = None,
    *,
    weights: ArrayLike | None = None,
    level: float = LEVEL,
    power: float = POWER,
) -> Needed:
    """How many more queries a true difference needs, from differences (N,) that were seen.

    For the verdict "inconclusive: about N more labelled queries". The new queries are taken to come in
    groups as large and as noisy as those at hand. NaN with fewer than two groups.
    """
    held = grouped(differences, groups, weights=weights)
    if held.n_groups < 2:
        return Needed(math.nan, math.nan, math.nan)
    variance = variance_per_group(differences, groups, weights=weights)
    n = groups_needed(difference, variance=variance, level=level, power=power)
    more = max(0.0, n - held.n_groups)
    queries = more * held.n_values / held.n_groups
    return Needed(n, more, queries if math.isinf(queries) else math.ceil(queries))


def fewest_groups(level: float = LEVEL) -> int:
    """The fewest groups with which a sign-flip test can reach the level: 2^(1-n) is its smallest p."""
    _quantiles(level, POWER)
    return 1 + math.ceil(-math.log2(level) - 1e-12)


def _quantiles(level: float, power: float) -> tuple[float, float]:
    if not 0 < level < 1 or not 0 < power < 1:
        raise ValueError(f"level and power must be between 0 and 1, got {level} and {power}")
    normal = NormalDist()
    return normal.inv_cdf(1 - level / 2), normal.inv_cdf(power)


def _between(share: float, name: str) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be a share from 0 to 1, got {share}")


def _not_negative(variance: float) -> None:
    if not variance >= 0:
        raise ValueError(f"variance must be 0 or more, got {variance}")
