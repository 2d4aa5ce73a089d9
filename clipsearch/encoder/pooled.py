"""An image tower that computes only what its one vector needs. Exact, and knows no runtime.

CLIP's vector is its first token after the last layer, so that layer's queries, its output projection and
its MLP are wanted for one token of fifty (ViT-B/32) and not for all: 7 % of the tower's multiplications.
SigLIP pools over all tokens, and nothing can be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clipsearch.encoder.spec import ModelSpec
from clipsearch.types import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor


def image_tower(model: Any, spec: ModelSpec) -> Any:
    """A module: normalised pixels (B, 3, H, W) -> vectors (B, D), those of model.get_image_features.

    model: a CLIPModel or SiglipModel whose weights it shares.
    """
    import torch

    first_token_only = spec.family == "clip" and _is_known(model)

    class ImageTower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Tensor) -> Tensor:
            return _first_token(model, pixels) if first_token_only else plain_features(model, pixels)

    return ImageTower().eval()


def pixel_tower(tower: Any, preprocessing: Preprocessing, dtype: Any) -> Any:
    """A module: fitted pictures uint8 (B, H, W, 3) -> vectors (B, D), normalised where they are computed.

    The same values as clipsearch.images.normalise gives, and a quarter of the bytes to move there.
    """
    import torch

    class PixelTower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = tower
            for name in ("mean", "std"):
                values = torch.tensor(getattr(preprocessing, name), dtype=torch.float32)[:, None, None]
                self.register_buffer(name, values, persistent=False)  # (3, 1, 1)

        def forward(self, pixels: Any) -> Any:
            values = pixels.permute(0, 3, 1, 2).float() * preprocessing.rescale  # (B, 3, H, W)
            return tower(((values - self.get_buffer("mean")) / self.get_buffer("std")).to(dtype))

    return PixelTower().eval()


def plain_features(model: Any, pixels: Tensor) -> Tensor:
    """transformers' own way: an object in version 5, a tensor before."""
    output = model.get_image_features(pixel_values=pixels)
    features: Tensor = getattr(output, "pooler_output", output)
    return features


def _first_token(model: Any, pixels: Tensor) -> Tensor:
    """transformers' CLIPVisionModel and CLIPModel.get_image_features, without what is thrown away."""
    vision = model.vision_model
    hidden = vision.pre_layrnorm(vision.embeddings(pixels))  # (B, tokens, width)
    *layers, last = vision.encoder.layers
    for layer in layers:
        output = layer(hidden, None)
        hidden = output[0] if isinstance(output, tuple) else output
    first = hidden[:, :1]  # (B, 1, width)
    first = first + _attend(last.self_attn, last.layer_norm1(hidden))
    first = first + last.mlp(last.layer_norm2(first))
    features: Tensor = model.visual_projection(vision.post_layernorm(first[:, 0]))
    return features


def _attend(attention: Any, hidden: Tensor) -> Tensor:
    """Attention (B, 1, width) of the first token to all of them (B, tokens, width)."""
    from torch.nn.functional import scaled_dot_product_attention

    def heads(values: Tensor) -> Tensor:  # (B, heads, tokens, width of a head)
        return values.reshape(*values.shape[:2], attention.num_heads, -1).transpose(1, 2)

    query, key, value = (
        heads(attention.q_proj(hidden[:, :1])),
        heads(attention.k_proj(hidden)),
        heads(attention.v_proj(hidden)),
    )
    attended = scaled_dot_product_attention(query, key, value, scale=attention.scale)
    output: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(-2))
    return output


def _is_known(model: Any) -> bool:
    """Whether the classes look as above; another transformers may build them differently."""
    try:
        last = model.vision_model.encoder.layers[-1]
        for part in ("q_proj", "k_proj", "v_proj", "out_proj", "num_heads", "scale"):
            getattr(last.self_attn, part)
        _ = (last.layer_norm1, last.layer_norm2, last.mlp, model.vision_model.pre_layrnorm)
    except AttributeError:
        return False
    return True
