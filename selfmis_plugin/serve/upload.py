"""Files as the page sends them.

A body is a line of JSON, ``{"files": [{"name": "a.csv", "size": 1234}, ...], "lead": "I"}``, and
then the files' contents, one after the other. Forms are not used: what parses them spools larger
parts to the disk, and any page may send one, whereas a browser asks the server before it lets
another site send :data:`CONTENT_TYPE`.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass

from selfmis_plugin.data.person import SEXES, UNKNOWN_PERSON, Person, age_of
from selfmis_plugin.predict.asking import Asked
from selfmis_plugin.preparation.recordings.units import told_microvolts
from selfmis_plugin.utils.arguments import positive
from selfmis_plugin.utils.fields import Fields

__all__ = [
    "CONTENT_TYPE", "MOST_BYTES", "MOST_FILES", "Upload", "UploadError", "UploadedFile",
    "read_upload", "too_large",
]  # fmt: skip

#: What a body says that it is.
CONTENT_TYPE = "application/octet-stream"
#: Most files, and bytes of them all, of one upload.
MOST_FILES = 50
MOST_BYTES = 100 * 2**20

_LONGEST_LINE = 64 * 2**10
#: Bytes of a name; file systems take 255.
_LONGEST_NAME = 200
_NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class UploadError(ValueError):
    """An upload cannot be taken; the message says why."""


@dataclass(frozen=True)
class UploadedFile:
    """One file.

    Attributes
    ----------
    name
        Its name without folders, which a file system takes.
    content
        What is in it.
    """

    name: str
    content: memoryview


@dataclass(frozen=True)
class Upload:
    """What was sent at once.

    Attributes
    ----------
    files
        In their order.
    asked
        What the user says of them.
    person
        Whose they all are.
    """

    files: tuple[UploadedFile, ...]
    asked: Asked
    person: Person = UNKNOWN_PERSON


def too_large() -> str:
    """Return what to say of an upload that is too large."""
    return (
        f"more than {MOST_BYTES // 2**20} MiB at once: drop fewer files, or use selfmis predict, "
        "which has no limit"
    )


def read_upload(body: bytes | bytearray, quality: float) -> Upload:
    """Read a body.

    Parameters
    ----------
    body
        The line and the contents.
    quality
        Lowest figure of quality of a window that is scored.

    Raises
    ------
    UploadError
        If it is something else, or more files than are taken at once.
    """
    end = bytes(body[:_LONGEST_LINE]).find(b"\n")
    if end < 0:
        raise UploadError("the upload does not begin with a line that says what is in it")
    try:
        said = Fields(json.loads(bytes(body[:end])))
        listed = said.items_of("files")
        if not 1 <= len(listed) <= MOST_FILES:
            raise UploadError(
                f"{len(listed)} files at once: drop 1 to {MOST_FILES}, or use selfmis predict on "
                "their folder"
            )
        rest, files = memoryview(body)[end + 1 :], []
        for place, value in enumerate(listed):
            fields = Fields(value, f"files[{place}]")
            size = fields.whole("size")
            if size > len(rest):
                raise UploadError("the upload ends early: send it again")
            files.append(UploadedFile(_plain_name(fields.text("name")), rest[:size]))
            rest = rest[size:]
    except (RecursionError, TypeError) as error:
        raise UploadError("the upload does not say what is in it") from error
    except UploadError:
        raise
    except ValueError as error:
        raise UploadError(f"the upload does not say what is in it ({error})") from error
    if len(rest):
        raise UploadError("the upload has more bytes than its files")
    return Upload(tuple(files), _asked(said, quality), _person(said))


def _plain_name(name: str) -> str:
    """The last part of a path, of any system, as a name that is no other place's."""
    last = _NOT_PRINTED.sub("_", re.split(r"[\\/]", name)[-1]).strip()
    if last in ("", ".", ".."):
        raise UploadError(f"{name[:_LONGEST_NAME]!r} is no name of a file")
    encoded = last.encode()
    if len(encoded) > _LONGEST_NAME:
        # Its end says the format.
        last = encoded[-_LONGEST_NAME:].decode(errors="ignore")
    return last


def _person(said: Fields) -> Person:
    try:
        age, sex = _told(said, "age"), _told(said, "sex")
    except ValueError as error:
        raise UploadError(str(error)) from error
    if age is None and sex is None:
        return UNKNOWN_PERSON
    if age is None or sex is None:
        raise UploadError("age and sex go together: a model uses both or none")
    if (years := age_of(age)) is None:
        raise UploadError(f"{age!r} is no age: years, 0 to 130")
    if sex not in SEXES:
        raise UploadError(f"{sex!r} is none of {' and '.join(SEXES)}")
    return Person(sex, years)


def _told(said: Fields, name: str) -> str | None:
    return said.text(name).strip() or None if said.get(name) else None


def _asked(said: Fields, quality: float) -> Asked:
    try:
        lead, unit, rate = (_told(said, name) for name in ("lead", "unit", "rate"))
        return Asked(
            tuple(part.strip() for part in lead.split(",")) if lead else None,
            positive(rate) if rate else None,
            told_microvolts(unit) if unit else None,
            quality,
        )
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise UploadError(str(error)) from error
