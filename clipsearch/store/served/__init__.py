"""Collections that another process has open, reached over a local socket recorded beside them.

`Listener` is that process's side, `ServedStore` everybody else's. Knows no engine.
"""

from __future__ import annotations

from clipsearch.store.served.client import Connection, find
from clipsearch.store.served.listener import Handler, Listener
from clipsearch.store.served.record import sweep
from clipsearch.store.served.store import ServedStore

__all__ = ["Connection", "Handler", "Listener", "ServedStore", "find", "sweep"]
