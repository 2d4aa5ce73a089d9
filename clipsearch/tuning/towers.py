"""The two towers of a model during training: pixels or token ids to unit vectors, with gradients.

The encoder package does the same for search, without gradients; this one may drop patches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.types import Preprocessing

if TYPE_CHECKING:
    from torch import Generator, Tensor


def on_device(pictures: NDArray[np.uint8], device: Any) -> Tensor:
    """Pictures uint8 (B, H, W, 3) as float (B, 3, H, W) in 0..255 on the device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(0, 3, 1, 2).float()


def scaled(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Pixels (B, 3, H, W) in 0..255 as the model wants them: (x * rescale - mean) / std."""
    import torch

    mean, std = (
        torch.tensor(v, device=pixels.device)[:, None, None] for v in (preprocessing.mean, preprocessing.std)
    )
    return (pixels * preprocessing.rescale - mean) / std


def image_vectors(model: Any, pixels: Tensor, kept: Tensor | None = None) -> Tensor:
    """Unit vectors (B, D) in float32 of normalised pixels (B, 3, H, W).

    kept (B, P) are the numbers of the patches that are looked at (CLIP models only); None: all.
    """
    import torch
    from torch.nn.functional import normalize

    if kept is None:
        return normalize(_pooled(model.get_image_features(pixel_values=pixels)).float(), dim=1)
    vision = model.vision_model
    tokens = vision.embeddings(pixels)  # (B, 1 + patches, width); the class token is first
    patches = tokens[:, 1:].gather(1, kept[:, :, None].expand(-1, -1, tokens.shape[2]))
    tokens = vision.pre_layrnorm(torch.cat([tokens[:, :1], patches], dim=1))
    hidden = vision.encoder(inputs_embeds=tokens).last_hidden_state[:, 0]
    return normalize(model.visual_projection(vision.post_layernorm(hidden)).float(), dim=1)


def text_vectors(model: Any, ids: Tensor) -> Tensor:
    """Unit vectors (B, D) in float32 of token ids (B, L), padded after their end token."""
    from torch.nn.functional import normalize

    return normalize(_pooled(model.get_text_features(input_ids=ids)).float(), dim=1)


def busy_patches(pixels: Tensor, patch: int, share: float, generator: Generator) -> Tensor | None:
    """Numbers (B, P) of the patches to keep: `share` of them, those with contrast more often than flat ones.

    Training on half of the patches costs half the time (FLIP, Li et al. 2023, arXiv 2212.00794). A patch
    is drawn without replacement in proportion to its contrast, because plain background teaches little.
    None where all are kept.
    """
    import torch

    n, _, height, width = pixels.shape
    rows, columns = height // patch, width // patch
    n_kept = max(1, round(share * rows * columns))
    if n_kept >= rows * columns:
        return None
    grid = pixels[:, :, : rows * patch, : columns * patch].reshape(n, 3, rows, patch, columns, patch)
    contrast = grid.std(dim=(3, 5)).mean(dim=1).flatten(1)  # (B, rows * columns)
    noise = -torch.log(-torch.log(torch.rand(contrast.shape, generator=generator).clamp_(1e-9, 1 - 1e-7)))
    keys = torch.log(contrast + 0.15 * contrast.mean() + 1e-6) + noise.to(pixels.device)  # Gumbel top-k
    return keys.topk(n_kept, dim=1).indices


def _pooled(output: Any) -> Any:
    return getattr(output, "pooler_output", output)  # transformers 5 returns an output object, 4 a tensor
