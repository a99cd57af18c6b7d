"""The table of a study as files: CSV for everyone, Parquet for programs."""

from __future__ import annotations

import csv
import io
import json

from crossohm._files import write_whole
from crossohm.studies.results.results import Results


def write_tables(results: Results) -> None:
    """Write ``table.csv`` into the results folder, and ``table.parquet`` where pyarrow is installed.

    Both are made from the results of the chips and can be made again at any time. The Parquet file carries the study
    in its metadata.

    Raises:
        DataError: a file cannot be written.
    """
    rows = results.rows()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(results.folder / "table.csv", text.getvalue().encode())
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:  # optional
        return
    content = io.BytesIO()
    table = pyarrow.table({name: pyarrow.array(_column([row.get(name) for row in rows])) for name in columns})
    notes = {"crossohm_study": json.dumps(results.study), "crossohm_name": results.name}
    parquet.write_table(table.replace_schema_metadata(notes), content)
    write_whole(results.folder / "table.parquet", content.getvalue())


def _column(values: list[object]) -> list[object]:
    """One type per column: values of different kinds as text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2 or kinds == {int, float}:
        return [float(value) if float in kinds and isinstance(value, int) else value for value in values]
    return [None if value is None else str(value) for value in values]
