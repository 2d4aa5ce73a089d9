"""Which rows belong together, told from keys, hashes and cosines: groups of a data set, masks of a batch.

Knows neither losses nor models: vectors are given. Groups go to pairs.Pairs and to whatever splits the data;
masks (B, B) to losses.Objective, `twins` as same and `too_alike` as ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TuningError

Mask = NDArray[np.bool_]
Vectors = NDArray[np.float32]
Column = Sequence[str | int | None]  # one value a row


def group_numbers(*columns: Column) -> NDArray[np.int64]:
    """Group of each row, (N,) from 0 in order of appearance: rows that a chain of agreements links.

    Rows agree that have an equal value in any column: part, caption, hash, or the number of a heap of
    near-duplicates. Empty and None agree with nothing. Unlike twins a chain links: A by part with B, B by
    caption with C, so that a split by group leaks neither. Raises TuningError for columns of unlike length.
    """
    n = _n_rows({len(column) for column in columns})
    above = list(range(n))  # a forest; each tree is a group

    def top(row: int) -> int:
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    for column in columns:
        first: dict[str | int, int] = {}
        for row, value in enumerate(column):
            if value is not None and value != "":
                one, other = top(first.setdefault(value, row)), top(row)
                above[max(one, other)] = min(one, other)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(top(row), len(numbers)) for row in range(n)], dtype=np.int64)


def twins(*columns: Column, image: Vectors | None = None, near_duplicate: float = 0.9999) -> Mask:
    """(B, B) bool: rows that agree in any column (part, caption, hash) or whose pictures are near-duplicates.

    Empty and None agree with nothing. image (B, D) are unit vectors of a frozen model; from the cosine
    near_duplicate on two pictures count as one. The default takes equal pictures only: how close different
    parts lie depends on the collection (duplicates.bars), so a lower one is the caller's to choose.
    Symmetric, true on the diagonal, not transitive: A may be a twin of B by its part and B of C by its
    caption. Raises TuningError for columns of unlike length.
    """
    lengths = {len(column) for column in columns} | (set() if image is None else {len(image)})
    mask = np.eye(_n_rows(lengths), dtype=bool)
    for column in columns:
        mask |= _agree(column)
    if image is not None:
        _check_cosine("near_duplicate", near_duplicate)
        mask |= image @ image.T >= near_duplicate
    return mask


def too_alike(text: Vectors | None, image: Vectors | None, *, threshold: float) -> Mask:
    """(B, B) bool: pairs whose texts or whose pictures have a cosine above threshold: likely false negatives.

    text and image (B, D) are unit vectors of the frozen model, one of them may be None. False on the
    diagonal. Raises TuningError where no negative is left: CLIP's text vectors lie within a narrow cone,
    and a threshold below their usual cosine would train nothing without a word.
    """
    _check_cosine("ignore_negatives_above", threshold)
    cosines = [vectors @ vectors.T for vectors in (text, image) if vectors is not None]
    if not cosines:
        raise TuningError("ignore_negatives_above needs the frozen model's vectors of texts or pictures")
    highest = np.maximum.reduce(cosines)  # (B, B)
    mask: Mask = highest > threshold
    np.fill_diagonal(mask, False)
    n = len(mask)
    if n > 1 and mask.sum() == n * (n - 1):
        usual = float(np.median(highest[~np.eye(n, dtype=bool)]))
        raise TuningError(
            f"ignore_negatives_above={threshold:g} leaves out every negative of a batch of {n}: the frozen "
            f"model's usual cosine here is {usual:.2f}. Choose a threshold well above that, or off"
        )
    return mask


def _n_rows(lengths: set[int]) -> int:
    if len(lengths) != 1:
        raise TuningError(
            f"columns of {sorted(lengths)} rows cannot be compared; give one value or vector for each row"
        )
    return lengths.pop()


def _agree(column: Column) -> Mask:
    """(B, B) bool: equal and not empty."""
    numbers: dict[str | int, int] = {}
    codes = np.array(
        [
            -i - 1 if v is None or v == "" else numbers.setdefault(v, len(numbers))
            for i, v in enumerate(column)
        ],
        dtype=np.int64,
    )
    equal: Mask = codes[:, None] == codes[None, :]
    return equal


def _check_cosine(name: str, value: float) -> None:
    if not -1 < value <= 1:
        raise TuningError(f"{name}={value} is a cosine and must be above -1 and at most 1")
