"""`clipsearch encode`, `load` and `export`: collections by way of Parquet shards.

The files themselves are `clipsearch.shards`'s; here is what goes into them and what comes out.
"""
