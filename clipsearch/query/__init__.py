r"""The query language: what a person types -> one Query value with positions.

    brass hex bolt                       words; together they are one term
    bolt + ./photo.jpg                   '+' begins a further term; a path or URL is a picture
    bracket -holes -"hex head"           away from a word, or from several (rclip's "a - b" too)
    2:"golden retriever" -0.5:rust       weights; behind a weight, quotes only group
    "cap screw"                          these very words, in the record's own text
    id:PART-123  2:id:"PART 9"           a record as an example

    material:brass,"stainless steel"     a filter: a field is one of these values (or '=')
    price<=5  holes:2..4  price:..5      comparisons and ranges
    -finish:plain  finish!=plain         what must not hold
    part_no:HX-M8*                       the beginning of a keyword
    added:2024-06  added:2024..2025-03   a date, month or year stands for its whole span
    place:35.68,139.76~5km               near a place (m, km, mi)
    place:35.0,139.0..36.0,140.0         in a box: south,west..north,east
    (material:brass or finish:plain) and not holes>=4

Filters side by side must all hold; `not` binds tighter than `and`, and `and` than `or`. These words and
parentheses work on filters only: "nuts or bolts" and "bolt (M8)" are words. So is a colon after what is
no field of the collection, as in re:zero. A quotation mark inside a word means inches: 1/2". Inside
quotes, \" is a quotation mark. "unit price":<5 names a field that has blanks; a field named id is id=5.
Full-width signs and digits (：－＋＝＜＞（）) and 「quotes」 count as theirs.

Parses text only: opens no file, asks no collection. Fields are checked against `fields` when given.
"""

from clipsearch.query.arguments import from_arguments
from clipsearch.query.conditions import all_of
from clipsearch.query.names import unknown_field
from clipsearch.query.parser import MAX_DEPTH, MAX_QUERY_CHARS, MAX_TERMS, parse, parse_filter
from clipsearch.query.pointing import pointed
from clipsearch.query.writing import unparse

__all__ = [
    "MAX_DEPTH",
    "MAX_QUERY_CHARS",
    "MAX_TERMS",
    "all_of",
    "from_arguments",
    "parse",
    "parse_filter",
    "pointed",
    "unknown_field",
    "unparse",
]
