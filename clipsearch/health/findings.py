"""One line of a doctor's report. Finds nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

State: TypeAlias = Literal["ok", "warn", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """area: installation, settings, collection, model or pictures. advice: what to do; "" where all is well.

    facts: the numbers behind value, for programs.
    """

    area: str
    name: str
    value: str
    state: State = "ok"
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def gigabytes(n_bytes: int) -> str:
    """Bytes in GB, or in MB below one."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
