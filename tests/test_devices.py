"""Which device and precision are chosen, without importing PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from clipsearch.encoder import devices as device_module
from clipsearch.encoder.devices import choose
from clipsearch.errors import EncoderError


@pytest.mark.parametrize(
    ("wanted", "majors", "mps", "expected"),
    [
        ("auto", [], False, ("cpu", "fp32")),
        ("auto", [9], False, ("cuda", "bf16")),
        ("auto", [7], False, ("cuda", "fp16")),
        ("auto", [], True, ("mps", "fp16")),
        ("cpu", [9], True, ("cpu", "fp32")),
        ("cuda:1", [9, 8], False, ("cuda:1", "bf16")),
    ],
)
def test_the_device_is_the_best_that_is_there(
    wanted: str,
    majors: list[int],
    mps: bool,
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_module, "cuda_majors", lambda: majors)
    monkeypatch.setattr(device_module, "has_mps", lambda: mps)
    chosen = choose(wanted)
    assert (chosen.name, chosen.precision) == expected
    assert choose(wanted, exact=True).precision == "fp32"


@pytest.mark.parametrize("wanted", ["cuda", "cuda:3", "mps", "tpu"])
def test_a_device_that_is_not_there_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "cuda_majors", list)
    monkeypatch.setattr(device_module, "has_mps", lambda: False)
    with pytest.raises(EncoderError, match=wanted):
        choose(wanted)


def test_what_torch_was_built_for_is_read_without_importing_it() -> None:
    import torch

    expected = "cuda" if torch.version.cuda else "hip" if torch.version.hip else "cpu"
    assert device_module._torch_build() == expected
    assert len(device_module.cuda_majors()) == torch.cuda.device_count()


def test_a_driver_is_asked_for_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        """libcuda of a machine with an A100 (8.0) and a T4 (7.5)."""

        def cuInit(self, flags: int) -> int:  # noqa: N802
            return 0

        def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
            count._obj.value = 2
            return 0

        def cuDeviceGetAttribute(self, value: Any, attribute: int, device: int) -> int:  # noqa: N802
            value._obj.value = (8, 7)[device]
            return 0

    monkeypatch.setattr(device_module, "_torch_build", lambda: "cuda")
    monkeypatch.setattr("ctypes.CDLL", lambda name: Driver())
    assert device_module.cuda_majors() == [8, 7]
    assert choose("cuda:1").precision == "fp16"
    with pytest.raises(EncoderError, match="there are 2 GPUs, counted from 0"):
        choose("cuda:2")
