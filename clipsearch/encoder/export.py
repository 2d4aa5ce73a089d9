"""One tower of a torch model as an ONNX file. Owns torch.onnx and the onnx package.

Knows nothing of caches or of whether the result is good: compiling.py checks that.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clipsearch.encoder.compiled import TowerName
from clipsearch.encoder.onnx_runtime import OUTPUT
from clipsearch.encoder.pooled import image_tower
from clipsearch.encoder.spec import ModelSpec

OPSET = 18
EXTERNAL_FROM = 64_000_000  # bytes of weights; above, they lie beside the graph and are memory-mapped
_HALVED_FROM = 1024  # elements; smaller tensors (biases, norms) stay float32


def export_tower(
    model: Any, tower: TowerName, spec: ModelSpec, path: Path, *, half_weights: bool = False
) -> None:
    """Write one tower of a float32 model as path (and path.data if it is large).

    Text: input_ids int64 (batch, tokens), both free for CLIP, tokens fixed for SigLIP.
    Image: pixel_values float32 (batch, 3, H, W). Output: vectors (batch, D), projected, any length.
    half_weights stores large weights as float16, widened on loading: for weights that are float16 already.
    """
    import torch

    shapes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if tower == "text" and spec.family == "clip":
        shapes[1] = torch.export.Dim("tokens", min=2, max=spec.context)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _module(model, tower, spec),
            (_example(tower, spec),),
            dynamo=True,
            input_names=["input_ids" if tower == "text" else "pixel_values"],
            output_names=[OUTPUT],
            dynamic_shapes=(shapes,),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    _strip(program.model)
    size = sum(p.numel() * 4 for p in _part(model, tower).parameters())
    program.save(str(path), external_data=size > EXTERNAL_FROM)
    if half_weights:
        _halve(path)


def _strip(graph_model: Any) -> None:
    """Drop the exporter's stack traces, which are half of a small file and name paths of this machine."""
    graph = graph_model.graph
    for part in (graph_model, graph, *graph.all_nodes(), *graph.initializers.values()):
        part.metadata_props.clear()
        part.doc_string = None
    for node in graph.all_nodes():
        for value in node.outputs:
            value.metadata_props.clear()


def _example(tower: TowerName, spec: ModelSpec) -> Any:
    """A batch of three, since the exporter takes sizes 0 and 1 for constants."""
    import torch

    if tower == "text":
        length = spec.context if spec.family == "siglip" else min(7, spec.context)
        return torch.ones((3, length), dtype=torch.int64)
    return torch.zeros((3, 3, spec.preprocessing.height, spec.preprocessing.width))


def _module(model: Any, tower: TowerName, spec: ModelSpec) -> Any:
    import torch

    if tower == "image":
        return image_tower(model, spec)

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Any) -> Any:
            output = model.get_text_features(batch)
            return getattr(output, "pooler_output", output)

    return Tower().eval()


def _part(model: Any, tower: TowerName) -> Any:
    return model.text_model if tower == "text" else model.vision_model


def _halve(path: Path) -> None:
    """Store large float32 weights as float16 with a Cast, which ONNX Runtime folds when it loads."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load(str(path))
    casts = []
    for weight in proto.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < _HALVED_FROM:
            continue
        name, values = weight.name, numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)
    onnx.save(proto, str(path))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's advice on stderr (training mode, torchvision, constant folding)."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
