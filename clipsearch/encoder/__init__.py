"""Encoder: pictures and texts to unit vectors, by CLIP and SigLIP models. Owns torch and ONNX Runtime.

Knows no collections and no files but pictures and models.
"""

from clipsearch.encoder.devices import Device, device_names
from clipsearch.encoder.encoder import Encoder, export_shipped
from clipsearch.encoder.gpu_jpegs import GpuJpegs

__all__ = ["Device", "Encoder", "GpuJpegs", "device_names", "export_shipped"]
