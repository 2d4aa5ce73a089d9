"""The table of known checkpoints, with their published figures. Opens nothing; any hub id works beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One known checkpoint. imagenet: zero-shot top-1 %; coco: text-to-image Recall@1 % on COCO 5k."""

    name: str
    repo: str  # hub id; "" for the model in the package
    dim: int
    image_size: int
    parameters_m: float
    languages: str
    licence: str
    imagenet: float | None
    coco: float | None
    note: str
    revision: str | None = None  # a pinned hub commit


# Figures: SigLIP 2 from google-research/big_vision@0127fb6 README_siglip2.md; the others from
# mlfoundations/open_clip@89fb801 docs/*.csv, also Japanese (Crossmodal-3600, text-to-image Recall@1).
# Parameters are counted from each checkpoint's configuration.
CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="starter",
        repo="",
        dim=128,
        image_size=128,
        parameters_m=4.1,
        languages="en, ja",
        licence="Apache-2.0",
        imagenet=None,
        coco=None,
        note="in the package; knows the bundled catalogue's words and nothing else",
    ),
    ModelCard(
        name="google/siglip2-base-patch32-256",
        repo="google/siglip2-base-patch32-256",
        dim=768,
        image_size=256,
        parameters_m=376.9,
        languages="multilingual",
        licence="Apache-2.0",
        imagenet=74.0,
        coco=47.2,
        note="for real pictures: fast and good",
    ),
    ModelCard(
        name="google/siglip2-base-patch16-256",
        repo="google/siglip2-base-patch16-256",
        dim=768,
        image_size=256,
        parameters_m=375.2,
        languages="multilingual",
        licence="Apache-2.0",
        imagenet=79.1,
        coco=53.2,
        note="4 times the work per picture of patch32",
    ),
    ModelCard(
        name="google/siglip2-large-patch16-256",
        repo="google/siglip2-large-patch16-256",
        dim=1024,
        image_size=256,
        parameters_m=881.5,
        languages="multilingual",
        licence="Apache-2.0",
        imagenet=82.5,
        coco=54.7,
        note="wants a GPU",
    ),
    ModelCard(
        name="google/siglip2-so400m-patch14-384",
        repo="google/siglip2-so400m-patch14-384",
        dim=1152,
        image_size=384,
        parameters_m=1136.0,
        languages="multilingual",
        licence="Apache-2.0",
        imagenet=84.1,
        coco=55.8,
        note="the best here; wants a GPU",
    ),
    ModelCard(
        name="google/siglip-base-patch16-256-multilingual",
        repo="google/siglip-base-patch16-256-multilingual",
        dim=768,
        image_size=256,
        parameters_m=370.6,
        languages="multilingual",
        licence="Apache-2.0",
        imagenet=75.1,
        coco=44.9,
        note="best published Japanese here: Crossmodal-3600 ja 43.2 (SigLIP 2 has no figure for it)",
    ),
    ModelCard(
        name="openai/clip-vit-base-patch32",
        repo="openai/clip-vit-base-patch32",
        dim=512,
        image_size=224,
        parameters_m=151.3,
        languages="en",
        licence="MIT",
        imagenet=63.3,
        coco=30.4,
        note="the classic; Crossmodal-3600 ja 1.4",
        # main has only a pickle; this commit is the hub's own conversion of it to safetensors (refs/pr/66)
        revision="c237dc49a33fc61debc9276459120b7eac67e7ef",
    ),
    ModelCard(
        name="openai/clip-vit-large-patch14",
        repo="openai/clip-vit-large-patch14",
        dim=768,
        image_size=224,
        parameters_m=427.6,
        languages="en",
        licence="MIT",
        imagenet=75.5,
        coco=36.5,
        note="wants a GPU",
    ),
    ModelCard(
        name="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        repo="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        dim=512,
        image_size=224,
        parameters_m=151.3,
        languages="en",
        licence="MIT",
        imagenet=66.6,
        coco=39.3,
        note="trained on open data",
    ),
    ModelCard(
        name="laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K",
        repo="laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K",
        dim=512,
        image_size=256,
        parameters_m=151.3,
        languages="en",
        licence="MIT",
        imagenet=72.8,
        coco=39.9,
        note="the best English CLIP of its size here",
    ),
)


def card(name: str) -> ModelCard | None:
    """The row of that name, or None."""
    return next((c for c in CARDS if c.name == name), None)
