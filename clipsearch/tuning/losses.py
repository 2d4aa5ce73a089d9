"""The losses of image-text training as pure functions. Know nothing of models, batches or optimisers.

All take unit vectors: image (B, D) and text (B, D), row i of one belonging to row i of the other.
`same` (B, B) bool marks pairs that are not negatives of each other: same[i, j] is true where text j is
also true of picture i (the same part, or the same words). In-batch negatives that share the positive's
features are false negatives and cost accuracy the more the larger the batch (Chen et al. 2023,
arXiv 2310.00927, section 5). They are left out of the denominators rather than made targets: a target
spread over twins has a loss floor of log(twins) and asks for equal scores between pictures of one part
from different sides; leaving them out keeps each pair's own target and is exactly CLIP's loss where
there are no twins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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


def sigmoid_loss(
    image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, same: Tensor | None = None
) -> Tensor:
    """Each pair on its own, matching or not (Zhai et al. 2023, arXiv 2303.15343, algorithm 1), a scalar."""
    import torch
    from torch.nn.functional import logsigmoid

    logits = scale * image @ text.T + bias  # (B, B)
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
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
