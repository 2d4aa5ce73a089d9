"""Which device will run a model and at which precision, found out without importing PyTorch (3 s)."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from clipsearch.errors import EncoderError

_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
_AMPERE = 8  # the first generation with fast bfloat16
PRECISIONS = {
    "cpu": ("fp32", "bf16", "int8"),
    "cuda": ("fp32", "bf16", "fp16"),
    "mps": ("fp32", "fp16"),
}
"""What each kind of device can compute in. On a CPU bf16 is fast with AMX and slow without."""


@dataclass(frozen=True, slots=True)
class Device:
    """name: torch's ("cpu", "cuda", "cuda:1", "mps"); precision: of its matrix products."""

    name: str
    precision: str  # fp32 | bf16 | fp16 | int8

    @property
    def is_cpu(self) -> bool:
        """Whether compiled towers may run the pictures too."""
        return self.name == "cpu"


def choose(wanted: str, *, exact: bool = False, precision: str | None = None) -> Device:
    """The device for `wanted`: auto (CUDA, then Apple's MPS, then CPU), cpu, cuda, cuda:N or mps.

    Of several devices (device_names) the first. exact asks for float32 everywhere; precision for one that
    the device need not prefer.
    Raises EncoderError if the wanted device is not there, or cannot do that.
    """
    found = _found(device_names(wanted)[0])
    if precision is None and not exact:
        return found
    chosen = Device(found.name, precision or "fp32")
    if exact and chosen.precision != "fp32":
        raise EncoderError(f"exact vectors are float32, not {precision}; ask for one of the two")
    if chosen.precision not in PRECISIONS[found.name.split(":")[0]]:
        able = ", ".join(PRECISIONS[found.name.split(":")[0]])
        raise EncoderError(
            f"precision {precision!r} is not for {found.name} (there: {able}); "
            "choose another, or another --device"
        )
    return chosen


def device_names(wanted: str) -> list[str]:
    """The devices that `wanted` means: one, several as in cuda:0,cuda:1, or every GPU for cuda:all."""
    if wanted == "cuda:all":
        return [f"cuda:{i}" for i in range(len(cuda_majors()))] or ["cuda"]
    return list(dict.fromkeys(part.strip() for part in wanted.split(",")))


def _found(wanted: str) -> Device:
    """The device at the precision it prefers."""
    kind = wanted.split(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise EncoderError(f"device {wanted!r} is unknown; choose auto, cpu, cuda, cuda:1 or mps")
    majors = cuda_majors() if kind in ("auto", "cuda") else []
    number = int(wanted.split(":")[1]) if re.fullmatch(r"cuda:\d+", wanted) else 0
    if kind != "cpu" and number < len(majors):
        return Device(wanted if kind == "cuda" else "cuda", "bf16" if majors[number] >= _AMPERE else "fp16")
    if kind in ("auto", "mps") and has_mps():
        return Device("mps", "fp16")
    if kind in ("cuda", "mps"):
        raise EncoderError(
            f"device {wanted!r} is not here: {_reason(kind, len(majors))}; "
            "choose --device cpu, or auto to take what is there"
        )
    return Device("cpu", "fp32")


def cuda_majors() -> list[int]:
    """The compute capability's major number of each GPU PyTorch can use; ROCm counts as 9."""
    build = _torch_build()
    if build == "hip":
        return [9] if Path("/dev/kfd").exists() else []
    return _driver_majors() if build == "cuda" else []


def has_mps() -> bool:
    """Whether this is a Mac with Apple's GPU."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def _torch_build() -> str:
    """cuda, hip or cpu: read from torch/version.py as text."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return "cpu"
    version = Path(found.origin).with_name("version.py")
    text = version.read_text(encoding="utf-8") if version.is_file() else ""
    for build in ("cuda", "hip"):
        if re.search(rf"^{build}\b[^=\n]*=\s*['\"]", text, re.MULTILINE):
            return build
    return "cpu"


def _driver_majors() -> list[int]:
    """Asks NVIDIA's driver itself; it honours CUDA_VISIBLE_DEVICES."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return []
    count, major = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    majors = []
    for device in range(count.value):
        failed = driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
        majors.append(0 if failed else major.value)
    return majors


def _reason(kind: str, n_gpus: int) -> str:
    if kind == "mps":
        return "this is no Apple-silicon Mac"
    if n_gpus:
        return f"there are {n_gpus} GPUs, counted from 0"
    if _torch_build() == "cpu":
        return "PyTorch here is a CPU build (see pytorch.org for the CUDA one)"
    return "the driver shows no GPU (nvidia-smi tells more)"
