"""The losses of image-text training as pure functions. Know nothing of models, batches or optimisers.

All take unit vectors: image (B, D) and text (B, D), row i of one belonging to row i of the other.
`same` (B, B) bool marks pairs that are not negatives of each other: same[i, j] is true where text j is
also true of picture i (the same part, or the same words). In-batch negatives that share the positive's
features are false negatives and cost accuracy the more the larger the batch (Chen et al. 2023,
arXiv 2310.00927, section 5). They are left out of the denominators rather than made targets: a target
spread over twins has a loss floor of log(twins) and asks for equal scores between pictures of one part
from different sides; leaving them out keeps each pair's own target and is exactly CLIP's loss where
there are no twins. Targets are an option all the same (multi_positive_loss): in `benchmarks/theory.py
duplicates` they win on small batches and lose margin on large ones.

Objective puts the options of a run together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from clipsearch.errors import TuningError

if TYPE_CHECKING:
    from torch import Tensor

Loss = Literal["contrastive", "sigmoid"]
Positives = Literal["groups", "pair", "multi"]


@dataclass(frozen=True, slots=True)
class Objective:
    """What a batch is trained toward: options that combine freely, and the scalar they make.

    positives: "groups" leaves twins out, "multi" makes them targets, "pair" takes them for negatives.
    align_reg is the factor lambda of align_reg. Raises TuningError for values that are none of these.
    """

    loss: Loss = "contrastive"
    positives: Positives = "groups"
    align_reg: float = 0.0

    def __post_init__(self) -> None:
        for option, value, choices in (
            ("loss", self.loss, get_args(Loss)),
            ("positives", self.positives, get_args(Positives)),
        ):
            if value not in choices:
                raise TuningError(f"{option}={value!r} is not known; choose {' or '.join(choices)}")
        if not 0 <= self.align_reg < float("inf"):
            raise TuningError(f"align_reg={self.align_reg} must be 0 or more; 0 leaves the regulariser out")

    def __call__(
        self,
        image: Tensor,
        text: Tensor,
        *,
        scale: Tensor,
        bias: Tensor | None = None,
        same: Tensor | None = None,
        ignored: Tensor | None = None,
    ) -> Tensor:
        """The loss of one batch, a scalar; bias is the sigmoid loss's.

        same (B, B) bool: twins, for which positives says what becomes of them. ignored (B, B) bool: pairs
        that may be twins (positives.too_alike), left out whatever positives is.
        """
        twins = None if self.positives == "pair" else same
        left_out = ignored if twins is None or self.positives == "multi" else _union(twins, ignored)
        targets = twins if self.positives == "multi" else None
        if self.loss == "sigmoid":
            if bias is None:
                raise TuningError(
                    "the sigmoid loss needs a logit bias and this model has none; use loss 'contrastive'"
                )
            value = sigmoid_loss(image, text, scale, bias, left_out, matches=targets)
        elif targets is not None:
            value = multi_positive_loss(image, text, scale, targets, left_out)
        else:
            value = contrastive_loss(image, text, scale, left_out)
        return value + self.align_reg * align_reg(image, text) if self.align_reg else value


def contrastive_loss(image: Tensor, text: Tensor, scale: Tensor, same: Tensor | None = None) -> Tensor:
    """Symmetric cross-entropy over the batch (InfoNCE; Radford et al. 2021, figure 3), a scalar.

    scale is the factor on the cosines (exp of CLIP's logit_scale).
    """
    import torch
    from torch.nn.functional import cross_entropy

    logits = scale * image @ text.T  # (B, B)
    own = torch.arange(len(logits), device=logits.device)
    if same is not None:
        twins = same & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(twins, float("-inf"))
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def multi_positive_loss(
    image: Tensor, text: Tensor, scale: Tensor, same: Tensor, ignored: Tensor | None = None
) -> Tensor:
    """Cross-entropy to a target spread evenly over a row's twins and itself, both ways, a scalar.

    The image-text form of the supervised contrastive loss (Yang et al. 2022, arXiv 2204.03610, equations
    2 and 3). Its floor is the mean log of the twins' number, and it asks for equal scores among twins.
    """
    import torch

    logits = scale * image @ text.T  # (B, B)
    targets = same | torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    if ignored is not None:
        logits = logits.masked_fill(ignored & ~targets, float("-inf"))

    def one_way(logits: Tensor, targets: Tensor) -> Tensor:
        chosen = logits.log_softmax(dim=1).masked_fill(~targets, 0.0)
        return -(chosen.sum(dim=1) / targets.sum(dim=1)).mean()

    return (one_way(logits, targets) + one_way(logits.T, targets.T)) / 2


def sigmoid_loss(
    image: Tensor,
    text: Tensor,
    scale: Tensor,
    bias: Tensor,
    same: Tensor | None = None,
    *,
    matches: Tensor | None = None,
) -> Tensor:
    """Each pair on its own, matching or not (Zhai et al. 2023, arXiv 2303.15343, algorithm 1), a scalar.

    matches (B, B) bool: pairs that match beside a row's own; same: pairs that are left out.
    """
    import torch
    from torch.nn.functional import logsigmoid

    logits = scale * image @ text.T + bias  # (B, B)
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    own = own if matches is None else own | matches
    terms = logsigmoid(torch.where(own, logits, -logits))  # log-likelihood of "match" or "no match"
    if same is not None:
        terms = terms.masked_fill(same & ~own, 0.0)
    return -terms.sum() / len(logits)


def align_reg(image: Tensor, text: Tensor) -> Tensor:
    """Mean squared distance of the positive pairs, 2 - 2 cos: a scalar in [0, 4].

    Added as lambda * align_reg it widens the margin that the contrastive loss alone leaves at the order
    of the temperature (arXiv 2310.00927, section 5). Positives only: regressing everything fails zero-shot.
    """
    return (image - text).square().sum(dim=1).mean()


def _union(one: Tensor, other: Tensor | None) -> Tensor:
    return one if other is None else one | other
