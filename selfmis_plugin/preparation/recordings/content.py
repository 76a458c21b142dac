"""What a file is, by what stands in it, whatever it is called."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["DEVICE_FORMATS", "EDF", "MATLAB", "MATLAB_73", "NUMPY", "content_of", "sealed_as"]

EDF = "EDF"
NUMPY = "NumPy"
MATLAB = "MATLAB"
#: HDF5 in truth.
MATLAB_73 = "MATLAB 7.3"

#: Bytes from the start of a file that tell what it is.
_HEAD = 4096


def content_of(path: Path) -> str | None:
    """Return the format of a file by its first bytes, None where they do not tell.

    Text files of numbers and WFDB headers have no such signs.

    Returns
    -------
    str or None
        One of :data:`DEVICE_FORMATS`, or EDF, NUMPY, MATLAB, MATLAB_73.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for name, is_so in _SIGNS.items():
        if is_so(head):
            return name
    return None


def sealed_as(path: Path) -> str | None:
    """Return what hides a file's content, such as encryption; None where nothing does.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        return "an encrypted ZIP archive" if head[6:7] and head[6] & 1 else "a ZIP archive"
    for start, name in _SEALS.items():
        if head.startswith(start):
            return name
    return (
        "encrypted XML"
        if "<EncryptedData" in _xml(head) or ":EncryptedData" in _xml(head)
        else None
    )


_SEALS = {
    b"-----BEGIN PGP MESSAGE-----": "an encrypted PGP message",
    b"age-encryption.org/": "encrypted with age",
    b"Salted__": "encrypted with OpenSSL",
    b"-----BEGIN PKCS7-----": "an encrypted PKCS #7 message",
    b"-----BEGIN CMS-----": "an encrypted CMS message",
    b"\x1f\x8b": "compressed with gzip",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
}


def _xml(head: bytes) -> str:
    """The start of an XML file as text; empty for anything else."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head[: len(head) // 2 * 2].decode("utf-16", errors="ignore")
    else:
        text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="ignore")
    return text if text.lstrip().startswith("<") else ""


def _element(pattern: str) -> Callable[[bytes], bool]:
    found = re.compile(rf"<(?:[\w.-]+:)?(?:{pattern})[\s>/]")
    return lambda head: found.search(_xml(head)) is not None


def _is_mortara(head: bytes) -> bool:
    signs = re.compile("ACQUISITION_TIME|<CHANNEL|<SUBJECT|<TYPICAL_CYCLE|<DEMOGRAPHIC_FIELDS")
    return _element("ECG")(head) and signs.search(_xml(head)) is not None


def _is_scp(head: bytes) -> bool:
    # Section 0 comes first, and its first pointer points at itself.
    if len(head) < 32:
        return False
    section, size = _number(head, 8, 2), _number(head, 10, 4)
    return (
        section == 0 and size >= 26 and (size - 16) % 10 == 0
        and _number(head, 22, 2) == 0 and _number(head, 28, 4) == 7
    )  # fmt: skip


def _number(head: bytes, start: int, size: int) -> int:
    return int.from_bytes(head[start : start + size], "little")


def _is_edf(head: bytes) -> bool:
    fields = (head[236:244].strip(), head[252:256].strip())
    return head.startswith(b"0       ") and all(
        field.removeprefix(b"-").isdigit() for field in fields
    )


def _is_kardia(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore").lstrip("\ufeff \t\r\n")
    if not text.startswith("{"):
        return False
    keys = "recordedAt|algorithmDetermination|patientID|amplitudeResolution|data12L"
    found = set(re.findall(rf'"({keys})"', text))
    return "recordedAt" in found and len(found) > 1


def _is_mfer(head: bytes) -> bool:
    return head[:1] == b"\x40" and head[2:6] == b"MFR "


_DEVICES: dict[str, Callable[[bytes], bool]] = {
    "HL7 aECG": _element("AnnotatedECG"),
    "SCP-ECG": _is_scp,
    "DICOM Waveform": lambda head: head[128:132] == b"DICM",
    "GE MUSE XML": _element("(?i:restingecg|museinfo)"),
    "Philips Sierra XML": _element("restingecgdata"),
    "Mortara ELI (EL250/ELI280)": _is_mortara,
    "ISHNE Holter": lambda head: head.startswith(b"ISHNE1.0"),
    "MFER": _is_mfer,
    "AliveCor Kardia JSON": _is_kardia,
}

#: Formats of hospitals and devices, by the names that ecgdatakit gives them.
DEVICE_FORMATS: tuple[str, ...] = tuple(_DEVICES)

_SIGNS: dict[str, Callable[[bytes], bool]] = {
    **_DEVICES,
    EDF: _is_edf,
    NUMPY: lambda head: head.startswith(b"\x93NUMPY"),
    MATLAB_73: lambda head: head.startswith((b"MATLAB 7.3", b"\x89HDF\r\n\x1a\n")),
    MATLAB: lambda head: head.startswith(b"MATLAB 5.0"),
}
