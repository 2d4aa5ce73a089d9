"""Pictures a second on a CPU, end to end, beside other tools on the same pictures and the same architecture.

    bash benchmarks/peers/install.sh            (once; environments of their own in .peers/)
    python benchmarks/throughput.py [--pictures 160] [--rounds 2] [--only rclip] [--folder DIR]

Pictures: camera-like JPEGs of 12, 2 and 0.3 MP and a mix of equal parts, none twice. Model: CLIP ViT-B/32
with random weights (speed does not depend on them). Ours is the whole `clipsearch index` into a new
collection, from opening the model to the closed files; the peers' time is their loop over the pictures
alone, warm, without loading their model. Each peer runs its own code (benchmarks/peers/*.py says where
something of it had to be replaced); those that are not installed are left out. Rounds alternate; the median
is told. Also: how near our vectors are to transformers' own processor and model on the full-size pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import material
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
CLI = Path(sys.executable).parent / "clipsearch"
OURS = {
    "clipsearch": (),
    "clipsearch int8": ("--precision", "int8"),
    "clipsearch bf16": ("--precision", "bf16"),
}
PEERS = {
    "rclip": ("rclip", "rclip_path.py"),
    "open_clip": ("open_clip", "open_clip_path.py"),
    "clip-retrieval": ("clip-retrieval", "clip_retrieval_path.py"),
    "sentence-transformers": ("sentence-transformers", "sentence_transformers_path.py"),
    "transformers": (None, "transformers_path.py"),
}


def main() -> None:
    options = _options()
    folder = options.folder.resolve()
    sets = material.make_pictures(folder / "pictures", options.pictures)
    model = material.make_vit_b32(folder / "vit-b-32")
    plain = _plain_onnx(model, folder / "plain.onnx")
    print(f"{os.cpu_count()} cores, {_cpu()}; load {os.getloadavg()[0]:.1f}", flush=True)
    chosen = [name for name in (*OURS, *PEERS) if not options.only or name in options.only]
    paces: dict[tuple[str, str], list[float]] = {}
    reports: dict[tuple[str, str], dict[str, object]] = {}
    for _ in range(options.rounds):
        for kind, pictures in sets.items():
            for name in chosen:
                pace, facts = (
                    _ours(OURS[name], pictures, model, folder / f"{name}-{kind}.npy", folder / "cache")
                    if name in OURS
                    else _peer(name, pictures, model, plain, folder / f"{name}-{kind}.npy")
                )
                if pace is None:
                    continue
                paces.setdefault((name, kind), []).append(pace)
                reports[name, kind] = facts
                print(f"  {name:22} {kind:6} {pace:7.1f} images/s", flush=True)
    _print_table(chosen, list(sets), paces)
    _print_bounds(list(sets), reports)
    _print_vectors(list(sets), folder)
    print("versions:", "; ".join(sorted({str(f["version"]) for f in reports.values() if "version" in f})))


def _ours(
    extra: tuple[str, ...], pictures: Path, model: Path, vectors: Path, cache: Path
) -> tuple[float, dict[str, object]]:
    """The whole command, into a new collection; the model is compiled beforehand, as after a first run."""
    with tempfile.TemporaryDirectory(dir=vectors.parent) as data:
        environment = {**os.environ, "CLIPSEARCH_DATA": data, "CLIPSEARCH_CACHE": str(cache)}
        arguments = ["-m", f"local-dir:{model}", *extra, "-q"]
        first = next(iter(sorted(pictures.glob("*.jpg"))))
        command = [str(CLI), "index", *arguments]
        subprocess.run([*command, str(first), "-c", "warm"], check=True, env=environment, capture_output=True)
        done = subprocess.run(
            [*command, str(pictures), "-c", "bench", "--json"],
            check=True,
            env=environment,
            capture_output=True,
        )
        facts = json.loads(done.stdout)
        _save_vectors(Path(data), vectors)
    return facts["encoded"] / facts["seconds"], {"busy": facts["busy"]}


def _save_vectors(data: Path, target: Path) -> None:
    from clipsearch.settings import Settings
    from clipsearch.store import open_store

    with open_store("bench", Settings(data=data, cache=data)) as store:
        points = [point for batch in store.scroll(with_vectors=True) for point in batch]
    points.sort(key=lambda point: str(point.payload["_key"]))
    np.save(target, np.stack([point.vectors["image"] for point in points]), allow_pickle=False)


def _peer(
    name: str, pictures: Path, model: Path, plain: Path, vectors: Path
) -> tuple[float | None, dict[str, object]]:
    environment, script = PEERS[name]
    python = ROOT / ".peers" / environment / "bin" / "python" if environment else Path(sys.executable)
    if not python.exists():
        return None, {}
    arguments = {
        "rclip_path.py": [str(pictures), str(plain), str(vectors)],
        "transformers_path.py": [str(pictures), str(model), str(vectors)],
        "sentence_transformers_path.py": [str(pictures), str(model)],
    }.get(script, [str(pictures)])
    done = subprocess.run(
        [str(python), str(ROOT / "benchmarks" / "peers" / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
    )
    if done.returncode:
        print(f"  {name}: failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return None, {}
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    return facts["images_per_s"], facts


def _print_table(names: list[str], kinds: list[str], paces: dict[tuple[str, str], list[float]]) -> None:
    median = {key: statistics.median(values) for key, values in paces.items()}
    print(f"\n{'images/s, median':22}" + "".join(f"{kind:>12}" for kind in kinds))
    for name in names:
        if (name, kinds[0]) in median:
            print(f"{name:22}" + "".join(f"{median[name, kind]:12.1f}" for kind in kinds))
    print()
    for ours in OURS:
        if ours not in names or not any(name in names for name in PEERS):
            continue
        ratios = []
        for kind in kinds:
            best = max((median[p, kind], p) for p in PEERS if (p, kind) in median)
            ratios.append(f"{median[ours, kind] / best[0]:10.2f} x")
        print(f"{ours + ' / best':22}" + "".join(ratios))
    best_names = [max((median.get((p, kind), 0.0), p) for p in PEERS)[1] for kind in kinds]
    print(f"{'the best of them':22}" + "".join(f"{name[:11]:>12}" for name in best_names))


def _print_bounds(kinds: list[str], reports: dict[tuple[str, str], dict[str, object]]) -> None:
    print("\nbusy (share of the threads' time)")
    for name in OURS:
        for kind in kinds:
            busy = reports.get((name, kind), {}).get("busy")
            if isinstance(busy, dict):
                print(f"{name:22} {kind:6} " + " | ".join(f"{k} {v:.0%}" for k, v in busy.items()))


def _print_vectors(kinds: list[str], folder: Path) -> None:
    """Cosine to the reference, plainly and after taking the reference's mean away, which is far stricter."""
    print("\nleast cosine to transformers' vectors of the same files (after subtracting their mean)")
    for kind in kinds:
        path = folder / f"transformers-{kind}.npy"
        if not path.exists():
            continue
        reference = np.load(path, allow_pickle=False)
        cells = []
        for name in (*OURS, "rclip"):
            other = folder / f"{name}-{kind}.npy"
            vectors = np.load(other, allow_pickle=False) if other.exists() else reference[:0]
            if len(vectors) == len(reference):
                plain = _least(vectors, reference)
                centred = _least(vectors - reference.mean(0), reference - reference.mean(0))
                cells.append(f"{name} {plain:.5f} ({centred:.4f})")
        print(f"{kind:6} " + ", ".join(cells))


def _least(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    products = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(products.min())


def _plain_onnx(model: Path, path: Path) -> Path:
    """The image tower as anybody would export it, for those who run ONNX."""
    if path.exists():
        return path
    import torch
    from transformers import CLIPModel

    loaded = CLIPModel.from_pretrained(model).eval()

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.model.get_image_features(pixel_values=pixels).pooler_output

    example = torch.zeros((3, 3, 224, 224))
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(Tower().eval(), (example,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    program.save(str(path), external_data=True)
    return path


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = next((line.split(":")[1].strip() for line in text.splitlines() if "model name" in line), "?")
    flags = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16") if f" {flag} " in text
    ]
    return f"{name} ({', '.join(flags)})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=160, help="of 12 MP; 1.5 and 2 times as many smaller")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", action="append", help="this tool only; may repeat")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "clipsearch-throughput")
    return parser.parse_args()


if __name__ == "__main__":
    main()
