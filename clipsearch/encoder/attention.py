"""Which patches of a picture brought its vector towards a direction: gradient-weighted attention.

Owns the model's last attention, taken apart, and its gradient. Knows no words, prompts or drawings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder.spec import ModelSpec
from clipsearch.encoder.towers import Vectors
from clipsearch.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor


class _Attended(NamedTuple):
    """The last attention of one query token to all patches. Heads lie beside each other in the width."""

    query: Tensor  # (B, width)
    keys: Tensor  # (B, patches, width)
    values: Tensor  # (B, patches, width)
    output: Tensor  # (B, width), of all heads, before the output projection: a leaf of the graph
    features: Tensor  # (B, D), computed from output
    heads: int


def relevance(
    model: Any, spec: ModelSpec, pixels: NDArray[np.float32], directions: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Vectors]:
    """How much each patch moved picture i towards directions[i], and the pictures' vectors.

    pixels: (B, 3, H, W) normalised; directions: (B, D), texts' vectors or differences of them.
    Returns float32 (B, rows, columns), signed, and float32 (B, D), not of length 1.

    Grad-ECLIP (Zhao et al. 2024, arXiv 2502.18816, section 3): with the class token's attention output
    o = sum_i softmax_i v_i of the last block, and S the cosine, patch i has

        M_i = sum_h w_hi sum_c (dS/do)_hc v_hic,    w_hi = cos(q_h, k_hi), scaled to 0..1 over the patches

    w is the loosened attention: softmax puts nearly all of it on a few patches. The paper computes it over
    all heads' channels at once; for each head h alone, as the model attends, the maps pass the deletion and
    insertion check more often (benchmarks/explain.py). The paper's clip at 0 is left to the caller.
    SigLIP has no class token: o, q, k and v are those of its pooling head. The gradient goes back through
    one token's MLP and projection only, which is why it costs little. Raises EncoderError.
    """
    import torch

    parameter = next(model.parameters())
    batch = torch.from_numpy(pixels).to(parameter.device, parameter.dtype)
    wanted = torch.from_numpy(np.ascontiguousarray(directions, np.float32)).to(parameter.device)
    try:
        parts = (_clip if spec.family == "clip" else _siglip)(model, batch)
        with torch.enable_grad():
            cosines = (torch.nn.functional.normalize(parts.features.float(), dim=1) * wanted).sum(dim=1)
            (gradient,) = torch.autograd.grad(cosines.sum(), parts.output)  # (B, width)
    except (AttributeError, RuntimeError) as exc:  # RuntimeError: PyTorch's, out of memory among them
        raise EncoderError(
            f"the last attention of this model cannot be taken apart ({str(exc).splitlines()[0]}); "
            "try --device cpu"
        ) from exc
    n, _, height, width = pixels.shape
    size = model.config.vision_config.patch_size
    moved = _by_head((gradient[:, None] * parts.values).float(), parts.heads).sum(dim=-1)
    maps = (moved * _loosened(parts)).sum(dim=-1).reshape(n, height // size, width // size)
    return maps.detach().cpu().numpy(), parts.features.detach().float().cpu().numpy()


def _loosened(parts: _Attended) -> Tensor:
    """The cosine of query and keys in each head, (B, patches, heads), scaled to 0..1 over the patches."""
    from torch.nn.functional import cosine_similarity

    query, keys = (_by_head(tokens.float(), parts.heads) for tokens in (parts.query[:, None], parts.keys))
    near = cosine_similarity(query, keys, dim=-1)
    least, most = near.amin(dim=1, keepdim=True), near.amax(dim=1, keepdim=True)
    weights: Tensor = (near - least) / (most - least).clamp_min(1e-12)
    return weights


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    """(B, tokens, width) as (B, tokens, heads, width of a head)."""
    return tokens.reshape(*tokens.shape[:2], heads, -1)


def _clip(model: Any, pixels: Tensor) -> _Attended:
    """As clipsearch.encoder.pooled: the last block for the class token alone."""
    import torch

    vision = model.vision_model
    with torch.no_grad():
        hidden = vision.pre_layrnorm(vision.embeddings(pixels))  # (B, 1 + patches, width)
        *layers, last = vision.encoder.layers
        for layer in layers:
            output = layer(hidden, None)
            hidden = output[0] if isinstance(output, tuple) else output
        attention, normed = last.self_attn, last.layer_norm1(hidden)
        query = attention.q_proj(normed[:, 0])
        keys, values = attention.k_proj(normed), attention.v_proj(normed)
        attended = _attend(query, keys, values, attention.num_heads)
    with torch.enable_grad():
        attended.requires_grad_()
        first = hidden[:, 0] + attention.out_proj(attended)
        first = first + last.mlp(last.layer_norm2(first))
        features = model.visual_projection(vision.post_layernorm(first))
    return _Attended(query, keys[:, 1:], values[:, 1:], attended, features, attention.num_heads)


def _siglip(model: Any, pixels: Tensor) -> _Attended:
    """The pooling head: a learned query attends to all patches."""
    import torch

    vision, head = model.vision_model, model.vision_model.head
    attention = head.attention
    with torch.no_grad():
        hidden = vision.encoder(inputs_embeds=vision.embeddings(pixels)).last_hidden_state
        hidden = vision.post_layernorm(hidden)  # (B, patches, width)
        of_query, of_keys, of_values = (
            (weight, bias)
            for weight, bias in zip(
                attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True
            )
        )
        linear = torch.nn.functional.linear
        query = linear(head.probe[0], *of_query).expand(len(pixels), -1)
        keys, values = linear(hidden, *of_keys), linear(hidden, *of_values)
        attended = _attend(query, keys, values, attention.num_heads)
    with torch.enable_grad():
        attended.requires_grad_()
        pooled = attention.out_proj(attended)
        features = pooled + head.mlp(head.layernorm(pooled))
    return _Attended(query, keys, values, attended, features, attention.num_heads)


def _attend(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """softmax(q k / sqrt(width of a head)) v of every head, side by side: (B, width)."""
    n, width = query.shape
    key, value = _by_head(keys, heads), _by_head(values, heads)
    logits = (query.reshape(n, heads, -1)[:, None] * key).sum(dim=-1) * (width // heads) ** -0.5
    weights = logits.softmax(dim=1)  # (B, tokens, heads)
    attended: Tensor = (weights[..., None] * value).sum(dim=1).flatten(1)
    return attended
