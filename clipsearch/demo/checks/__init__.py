"""Checks of the search itself on the bundled catalogue: negation, confidence, retrieval.

Each asks the real Searcher over the collection that `clipsearch demo` makes, and judges its hits by the
catalogue's labels. Nothing here changes how search ranks; see `python -m clipsearch.demo --help`.
"""
