"""Text files: any form is read as it was written, and no bytes end in another error than ours."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from tests.fuzz import FUZZ, for_a_while
from tests.predict.test_text_files import NOISE, OPEN_SIGNALS, WATCH_HEADS, check_form, open_signals
from tests.text_files import TextForm, text_forms

pytestmark = FUZZ

#: Pieces that readers look for.
PIECES = st.sampled_from(
    ["\n", "\r", ",", ";", "\t", " ", "|", '"', "'", "#", "%", "(", ")", "[", "]", "{", "}", ":",
     ":=", "=", ".", "-", "+", "e", "0", "1", "9", "00", "512", "1e400", "-0,5", "0.002", "nan",
     "inf", "time", "timestamp", "I", "II", "ecg", "(uV)", "[ms]", "µV", "мкВ", "Hz", "512 hertz",
     "Sampling Rate (Hz):= ", "# Labels:= ", "Unit,", "10:00:00.002", "2024-05-01T", "24:61:99",
     "99/99/9999 10:00:00", "31/12/2023 23:59:59", "\ufeff", "\x00", "\x85", "\u2028", "٣", "−",
     "１", "9" * 400, "(" * 300, "_" * 300, "1," * 300, "# {", '{"column": [', '"sampling rate": ']
)  # fmt: skip
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32", "cp1252", "cp932"])


def _seeds() -> list[str]:
    watch = ["".join([head, "\n", *(f"{v}\n" for v in NOISE[0])]) for head in WATCH_HEADS.values()]
    forms = [TextForm(), TextForm(quote='"', decimal=","), TextForm(time="rdsamp", quote="'"),
             TextForm(time="iso", names=("I", "II"), unit_in="line", separator=";")]  # fmt: skip
    tables = [form.write(NOISE[: len(form.names)]).decode() for form in forms]
    biosppy = "# Simple Text Format\n# Sampling Rate (Hz):= 500\n# Labels:= ECG\n" + "1\n2\n" * 300
    return [*watch[:3], *tables, biosppy, open_signals({"A": OPEN_SIGNALS}, 3)]


SEEDS = _seeds()


@st.composite
def changed_texts(draw: st.DrawFn) -> bytes:
    """A good file with some of it cut out, doubled, exchanged, or between new pieces."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 6))):
        # More often in the head, which says the most.
        end = draw(st.sampled_from([60, 300, len(text)]))
        begin = draw(st.integers(0, min(end, len(text))))
        stop = begin + draw(st.integers(0, 40))
        new = draw(st.one_of(PIECES, st.just(text[begin:stop] * 2), st.text(max_size=10)))
        text = text[:begin] + new + text[stop:]
    content = text.encode(draw(ENCODINGS), "replace")
    return content[: draw(st.sampled_from([len(content), len(content) // 2, 7]))]


def read_or_refuse(path: Path) -> None:
    """Read a file with and without a rate and a unit; within a second and some memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for options in (ReadingOptions(), ReadingOptions(rate=250, microvolts_per_unit=2)):
        begin = time.process_time()
        try:
            recording = open_strip_file(path, options)
            for name in list(recording.rates)[:3]:
                for block in recording.blocks(recording.names_of([name]), 10):
                    assert not np.isinf(block.signals[0]).any()
        except RecordError as error:
            assert path.name in str(error) and len(str(error)) < 2000
        assert time.process_time() - begin < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@for_a_while
@given(form=text_forms())
def test_what_is_written_is_what_is_read(tmp_path: Path, form: TextForm) -> None:
    check_form(tmp_path / "a.csv", form)


@for_a_while
@given(content=changed_texts())
def test_changed_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    read_or_refuse(path)


@for_a_while
@given(
    pieces=st.lists(PIECES, max_size=60), times=st.integers(1, 400), encoding=ENCODINGS,
    head=st.lists(PIECES, max_size=20),
)  # fmt: skip
def test_any_text(
    tmp_path: Path, head: list[str], pieces: list[str], times: int, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("".join(head) + "".join(pieces) * times).encode(encoding, "replace"))
    read_or_refuse(path)


@for_a_while
@given(content=st.binary(max_size=3000))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    read_or_refuse(path)
