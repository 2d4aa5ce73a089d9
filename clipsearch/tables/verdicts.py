"""How people write yes and no in a cell, in English and Japanese, and as spreadsheets store it."""

from __future__ import annotations

YES = frozenset({"1", "1.0", "true", "yes", "y", "correct", "relevant", "はい", "○", "〇", "✓", "正"})
NO = frozenset(
    {"0", "0.0", "false", "no", "n", "incorrect", "wrong", "irrelevant", "いいえ", "×", "x", "✗", "誤"}
)
