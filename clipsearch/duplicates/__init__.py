"""Duplicates in a collection: groups of records, each with the one worth keeping. Deletes nothing.

Owns what counts as the same at each level. Knows no engine (it asks a `Store`), no model, and no
output.
"""

from clipsearch.duplicates.bars import Bars
from clipsearch.duplicates.finding import Found, Progress, find_duplicates
from clipsearch.duplicates.looks import Look, Verdict, compare, look_at
from clipsearch.duplicates.records import Group, Level, Member, Reader, Record

__all__ = [
    "Bars",
    "Found",
    "Group",
    "Level",
    "Look",
    "Member",
    "Progress",
    "Reader",
    "Record",
    "Verdict",
    "compare",
    "find_duplicates",
    "look_at",
]
