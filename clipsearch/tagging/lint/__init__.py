"""What is wrong with a vocabulary: in its words, to a model, and in a collection that it tags.

    finding     one thing that is wrong, and what to do
    wording     two labels with one word, labels embedded alike, prompts that are cut
    nearness    near-synonyms, and labels like "a photo"
    tagging     labels never given, given to nearly all, given together

Changes nothing and reads no file.
"""

from clipsearch.tagging.lint.checking import CHECKS, lint, skipped
from clipsearch.tagging.lint.finding import FEWEST, Finding, Level

__all__ = ["CHECKS", "FEWEST", "Finding", "Level", "lint", "skipped"]
