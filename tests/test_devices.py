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


@pytest.mark.parametrize(
    ("wanted", "precision", "expected"),
    [
        ("cpu", "int8", ("cpu", "int8")),
        ("cpu", "bf16", ("cpu", "bf16")),
        ("cuda", "fp32", ("cuda", "fp32")),
        ("cuda:1", "fp16", ("cuda:1", "fp16")),
        ("cuda:1,cuda:0", None, ("cuda:1", "bf16")),
        ("cuda:all", None, ("cuda:0", "bf16")),
    ],
)
def test_a_precision_can_be_asked_for(
    wanted: str, precision: str | None, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "cuda_majors", lambda: [9, 9])
    chosen = choose(wanted, precision=precision)
    assert (chosen.name, chosen.precision) == expected


@pytest.mark.parametrize(("wanted", "precision"), [("cuda", "int8"), ("cpu", "fp16")])
def test_a_precision_that_a_device_has_not_is_refused(
    wanted: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "cuda_majors", lambda: [9])
    with pytest.raises(EncoderError, match=rf"precision '{precision}' is not for {wanted} \(there: fp32"):
        choose(wanted, precision=precision)


def test_exact_and_int8_exclude_each_other() -> None:
    with pytest.raises(EncoderError, match="exact vectors are float32, not int8"):
        choose("cpu", exact=True, precision="int8")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("auto", ["auto"]),
        ("cuda:0, cuda:2,cuda:0", ["cuda:0", "cuda:2"]),
        ("cuda:all", ["cuda:0", "cuda:1", "cuda:2"]),
    ],
)
def test_several_devices_can_be_named(wanted: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "cuda_majors", lambda: [9, 9, 9])
    assert device_module.device_names(wanted) == names
