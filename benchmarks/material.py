"""What the benchmarks run on: pictures of several sizes and a ViT-B/32 with random weights; no figures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from clipsearch.types import ImageFile
from indexer.sources.folder import WithoutColumns

SIZES = {"12mp": (4000, 3000), "2mp": (1600, 1200), "0.3mp": (640, 480)}
_KINDS = 4  # different pictures a size; the rest are copies with other bytes


def make_pictures(folder: Path, n: int) -> dict[str, Path]:
    """Folders of camera-like JPEGs: n of 12 MP, 1.5 n of 2 MP, 2 n of 0.3 MP, and 1.5 n in equal parts.

    Copies differ by a comment in the file, so that no program can recognise them, and cost the same.
    """
    sets = {name: folder / name for name in (*SIZES, "mix")}
    if (folder / f"done-{n}").exists():
        return sets
    shutil.rmtree(folder, ignore_errors=True)
    for (name, size), count in zip(SIZES.items(), (n, n * 3 // 2, 2 * n), strict=True):
        originals = [_jpeg(*size, seed=seed) for seed in range(_KINDS)]
        _write(sets[name], originals, count, name)
        _write(sets["mix"], originals, n // 2, name)
    (folder / f"done-{n}").touch()
    return sets


def make_vit_b32(folder: Path) -> Path:
    """CLIP ViT-B/32 as transformers makes it, random weights, with the starter model's tokenizer.

    Half precision is not used; the text tower is there because a model folder has one.
    """
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig())
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    _copy_tokenizer(folder)
    return folder


class Generated(WithoutColumns):
    """A source of n pictures made of a few in memory, no two with the same bytes: no disk is read."""

    name, named, complete = "generated", True, True

    def __init__(self, originals: Sequence[bytes], n: int) -> None:
        super().__init__()
        self._originals, self.n_files = originals, n

    def files(self) -> Iterator[ImageFile]:
        """The pictures, made when they are read."""
        for i in range(self.n_files or 0):
            original = self._originals[i % len(self._originals)]
            read = partial(with_comment, original, str(i))
            yield ImageFile(self.name, str(i), f"generated/{i}", len(original), 0, read=read)


def make_tower(
    folder: Path, *, family: str, size: int, patch: int, width: int, layers: int, heads: int
) -> Path:
    """A CLIP or SigLIP model with an image tower of these sizes, random weights and a small text tower."""
    import torch
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
    )

    torch.manual_seed(0)
    vision = {"image_size": size, "patch_size": patch, "hidden_size": width, "intermediate_size": 4 * width}
    vision |= {"num_hidden_layers": layers, "num_attention_heads": heads}
    text = {"num_hidden_layers": 1}
    if family == "clip":
        CLIPModel(CLIPConfig(vision_config=vision, text_config=text)).save_pretrained(folder)
        edge = {"shortest_edge": size}
        CLIPImageProcessorPil(size=edge, crop_size={"height": size, "width": size}).save_pretrained(folder)
    else:
        text |= {"hidden_size": width}
        SiglipModel(SiglipConfig(vision_config=vision, text_config=text)).save_pretrained(folder)
        SiglipImageProcessorPil(size={"height": size, "width": size}).save_pretrained(folder)
    _copy_tokenizer(folder)
    return folder


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture in a file with other bytes."""
    comment = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _copy_tokenizer(folder: Path) -> None:
    starter = Path(__file__).parents[1] / "clipsearch" / "demo" / "starter"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(starter / name, folder / name)


def _write(folder: Path, originals: list[bytes], n: int, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        data = with_comment(originals[i % len(originals)], f"{folder.name} {name} {i}")
        (folder / f"{i:05d}-{name}.jpg").write_bytes(data)


def _jpeg(width: int, height: int, *, seed: int) -> bytes:
    from images import jpeg

    return jpeg(width, height, seed=seed)
