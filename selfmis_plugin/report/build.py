"""A classifier's report, written."""

from __future__ import annotations

import json
from pathlib import Path

from selfmis_plugin.report.judged import Request, judge_request
from selfmis_plugin.report.page import render
from selfmis_plugin.report.sections import sections_of
from selfmis_plugin.report.summary import summary
from selfmis_plugin.utils.files import require_folder, whole_files, write_json

__all__ = ["Request", "write_report"]


def write_report(request: Request) -> Path:
    """Write the report; return the page's path.

    Raises
    ------
    CheckpointError
        If a checkpoint cannot be read, is of the wrong kind, or needs data prepared otherwise.
    StoreError
        If the data cannot be read.
    NotADirectoryError
        If a file is where the folder is to be.
    HubError
        If the hub does not give the model.
    """
    require_folder(request.dest)
    judged = judge_request(request)
    figures = judged.figures()
    sections = sections_of(judged, figures)
    text = render("SelfMIS report", summary(judged), tuple(sections))
    pictures = {f"{p.name}.png": p.png for section in sections for p in section.pictures}
    figures["pictures"] = list(pictures)
    former = _former_pictures(request.dest)
    names = ("predictions.parquet", "figures.json", *pictures, "report.html")
    with whole_files(*(request.dest / name for name in names)) as paths:
        written = dict(zip(names, paths, strict=True))
        judged.predictions.write(written["predictions.parquet"])
        write_json(written["figures.json"], figures)
        for name, png in pictures.items():
            written[name].write_bytes(png)
        # A file's name need not be text.
        written["report.html"].write_text(text, encoding="utf-8", errors="replace")
    # What an earlier report drew and this one does not would be taken for a picture of this one.
    for name in former - set(pictures):
        (request.dest / name).unlink(missing_ok=True)
    return request.dest / "report.html"


def _former_pictures(folder: Path) -> set[str]:
    """Names of the pictures that an earlier report says it has written into *folder*."""
    try:
        said = json.loads((folder / "figures.json").read_text(encoding="utf-8"))["pictures"]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    if not isinstance(said, list):
        return set()
    return {
        name
        for name in said
        if isinstance(name, str) and name.endswith(".png") and Path(name).name == name
    }
