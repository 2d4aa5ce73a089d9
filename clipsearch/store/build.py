"""Build the graph of one generation of an embedded collection: `python -m clipsearch.store.build FOLDER`.

Run as a child by the embedded engine, which holds the collection's lock and hands over a folder that
nobody else uses. Prints {"n_points": …} on its last line. Ends when the engine's process is killed, where
that can be had (Linux): the next to open the collection throws the folder away.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from pathlib import Path

from clipsearch.store.embedded import edge
from clipsearch.store.embedded.folder import Folder

_PR_SET_PDEATHSIG = 1  # prctl(2)


def build(generation: Path) -> int:
    """Optimise the shard in the folder and return how many points it has."""
    import qdrant_edge

    spec = Folder(generation.parent).spec()
    shard = qdrant_edge.EdgeShard.load(str(generation), edge.config(spec.fingerprint.dim, graph=True))
    shard.optimize()
    shard.flush()
    n_points = int(shard.count(qdrant_edge.CountRequest(exact=True)))
    shard.close()
    return n_points


def main(arguments: list[str]) -> int:
    """Exit status."""
    if sys.platform == "linux":  # by the kernel: the engine holds the GIL while it builds
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    n_points = build(Path(arguments[0]))
    sys.stdout.write(json.dumps({"n_points": n_points}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
