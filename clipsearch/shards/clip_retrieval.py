"""clip-retrieval's layout: img_emb/img_emb_0.npy and metadata/metadata_0.parquet, row by row alike.

Only written. Its readers take the embeddings and the columns of one row from files of one number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clipsearch.shards.columns import Header, Rows, to_table

_CAPTIONS = ("caption", "text", "description", "title", "name")


def write_partition(folder: Path, name: str, rows: Rows, header: Header) -> None:
    """Write one partition, named by its number. caption is the first of the usual fields that is text."""
    import pyarrow.parquet as pq

    for part in ("img_emb", "metadata"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    matrix = np.empty((len(rows), header.dim), dtype=header.dtype)
    for row, point in zip(matrix, rows.points, strict=True):
        row[:] = point.vectors["image"]
    np.save(folder / "img_emb" / f"img_emb_{name}.npy", matrix, allow_pickle=False)
    table = to_table(rows, header).drop_columns(["embedding"]).replace_schema_metadata(None)
    names = ["image_path" if name == "path" else name for name in table.column_names]
    if "caption" not in names:
        found = next((name for name in _CAPTIONS if name in names), None)
        if found is not None and str(table.schema.field(found).type) == "string":
            table = table.append_column("caption", table.column(found))
            names.append("caption")
    pq.write_table(table.rename_columns(names), folder / "metadata" / f"metadata_{name}.parquet")
