"""What a model folder says about itself: family, sizes, preprocessing.

Reads JSON and headers, runs nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from clipsearch.errors import ModelError
from clipsearch.models import ModelFolder, read_json, read_scalar, tensor_table
from clipsearch.types import Preprocessing

Family = Literal["clip", "siglip"]
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # PIL.Image.Resampling
# of transformers' CLIPImageProcessor and SiglipImageProcessor, for keys a file leaves out
_DEFAULTS: dict[Family, dict[str, Any]] = {
    "clip": {
        "size": {"shortest_edge": 224},
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        "image_mean": _CLIP_MEAN,
        "image_std": _CLIP_STD,
    },
    "siglip": {"size": {"height": 224, "width": 224}, "image_mean": _HALF, "image_std": _HALF},
}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's facts. context: tokens of a text at most; SigLIP pads to it, CLIP need not."""

    family: Family
    dim: int
    context: int
    preprocessing: Preprocessing
    logit_scale: float  # the factor itself, not its logarithm
    logit_bias: float | None  # SigLIP's


def read_spec(folder: ModelFolder) -> ModelSpec:
    """The facts of a CLIP, SigLIP or fixed-resolution SigLIP 2 folder.

    Raises ModelError for other architectures and for preprocessing we could only do wrongly.
    """
    config = read_json(folder.path / "config.json")
    family = _family(config, folder.name)
    text, vision = _part(config, "text_config"), _part(config, "vision_config")
    table = tensor_table(folder.path)
    head = table.get("text_projection.weight" if family == "clip" else "text_model.head.weight")
    if head is None or "logit_scale" not in table:
        raise ModelError(
            f"model {folder.name} has no text tower beside its image tower (no text head in its weights); "
            "searching by words needs a whole CLIP or SigLIP model"
        )
    bias = table.get("logit_bias")
    return ModelSpec(
        family=family,
        dim=head.shape[0],
        context=int(text.get("max_position_embeddings", 77 if family == "clip" else 64)),
        preprocessing=_preprocessing(folder, family, int(vision.get("image_size", 224))),
        logit_scale=math.exp(read_scalar(table["logit_scale"])),
        logit_bias=None if bias is None else read_scalar(bias),
    )


def canonical(preprocessing: Preprocessing) -> str:
    """Preprocessing as JSON that is equal for equal values; part of a fingerprint."""
    return json.dumps(asdict(preprocessing), sort_keys=True, separators=(",", ":"))


def _family(config: Mapping[str, Any], name: str) -> Family:
    kind = config.get("model_type")
    if kind in ("clip", "siglip"):
        return cast(Family, kind)
    if kind == "siglip2":
        raise ModelError(
            f"model {name} is a NaFlex SigLIP 2 (model_type siglip2), whose pictures vary in shape; "
            "clipsearch takes the fixed-resolution ones, for instance google/siglip2-base-patch16-256"
        )
    own_code = " with code of its own, which is never run," if "auto_map" in config else ""
    raise ModelError(
        f"model {name}{own_code} has model_type {kind!r}; clipsearch takes clip and siglip "
        "(CLIP, SigLIP, SigLIP 2). See: clipsearch models"
    )


def _part(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """text_config or vision_config; OpenAI's old files keep overrides in …_dict, as transformers does."""
    return {**(config.get(key) or {}), **(config.get(f"{key}_dict") or {})}


def _preprocessing(folder: ModelFolder, family: Family, image_size: int) -> Preprocessing:
    given = _processor_file(folder.path)
    values = {**_DEFAULTS[family], **{k: v for k, v in given.items() if v is not None}}
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if values.get(step) is False:
            raise ModelError(
                f"model {folder.name} says {step}: false; clipsearch would embed other pictures than it"
            )
    height, width, edge = _sizes(folder.name, values)
    if (height, width) != (image_size, image_size):
        raise ModelError(
            f"model {folder.name} takes {image_size} x {image_size} pixels, but its preprocessor makes "
            f"{height} x {width}; mend its preprocessor_config.json"
        )
    resample = _RESAMPLE.get(values.get("resample", 3))
    if resample is None:
        raise ModelError(
            f"model {folder.name} resizes by PIL filter {values['resample']!r}; 0 to 3 are known"
        )
    return Preprocessing(
        height=height,
        width=width,
        shortest_edge=edge,
        crop=bool(values.get("do_center_crop", False)),
        resample=cast(Literal["bicubic", "bilinear", "lanczos", "nearest"], resample),
        mean=_triple(values["image_mean"]),
        std=_triple(values["image_std"]),
        rescale=float(values.get("rescale_factor", 1 / 255)),
    )


def _processor_file(path: Path) -> dict[str, Any]:
    """The image processor's settings, from either file; a nested one wins, as in transformers."""
    combined = path / "processor_config.json"
    if combined.is_file():
        nested = read_json(combined).get("image_processor")
        if isinstance(nested, dict):
            return nested
    separate = path / "preprocessor_config.json"
    return read_json(separate) if separate.is_file() else {}


def _sizes(name: str, values: Mapping[str, Any]) -> tuple[int, int, int | None]:
    """Height and width of the input, and the shortest edge of the resize (None: both sides are resized)."""
    size = values["size"]
    edge = size if isinstance(size, int) else size.get("shortest_edge")
    crop = values.get("crop_size") if values.get("do_center_crop") else None
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    if edge is None and {"height", "width"} <= set(size):
        height, width = int(size["height"]), int(size["width"])
        if crop is None or (crop["height"], crop["width"]) == (height, width):
            return height, width, None
    elif edge is not None and crop is not None:
        return int(crop["height"]), int(crop["width"]), int(edge)
    raise ModelError(
        f"model {name} has a preprocessing clipsearch does not know (size {size!r}, crop {crop!r}); "
        "choose another: clipsearch models"
    )


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue
