"""`clipsearch serve`: collections over HTTP, asked by many at once, owned by one process.

Owns the server: who may ask, how much, and how concurrent questions share one encoder. Knows nothing of
how a query is answered (clipsearch.search) or of what the terminal shows.
"""

from clipsearch.serve.options import Access, Limits

__all__ = ["Access", "Limits"]
