"""Our renderer: signed-distance shapes, sphere tracing, studio shading. NumPy only; knows no part's name."""

from clipsearch.demo.render.shading import Backdrop, Light, Look, shade
from clipsearch.demo.render.tracer import Camera, GBuffer, trace

__all__ = ["Backdrop", "Camera", "GBuffer", "Light", "Look", "shade", "trace"]
