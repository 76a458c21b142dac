"""EDF files: no bytes end in another error than ours."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.preparation.recordings.opening import open_recording
from tests.fuzz import FUZZ, for_a_while

pytestmark = FUZZ

FIELDS = st.sampled_from(
    [b"0", b"1", b"-1", b"2", b"9999", b"99999999", b"nan", b"inf", b"1e-300", b"1e300", b"0.1",
     b"", b"\xc2\xb5V", b"\xb5V", b"mV", b"uV", b"EDF Annotations", b"EDF+D", b"EDF+C", b"I",
     b"\xff" * 8, b"-32768", b"32767", b"1e7"]
)  # fmt: skip


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A file of two channels of different rates, and one of EDF+ with annotations."""
    path = tmp_path_factory.mktemp("edf") / "a.edf"
    noise = np.random.default_rng(0).normal(0, 100, 1000)
    signals = [
        edfio.EdfSignal(noise[:: 250 // rate], rate, label=name, physical_dimension="uV")
        for name, rate in (("ECG I", 250), ("ECG II", 125))
    ]
    contents = []
    for marks in (None, [edfio.EdfAnnotation(1, None, "beat")]):
        edfio.Edf(signals, annotations=marks, data_record_duration=1).write(path)
        contents.append(path.read_bytes())
    return contents


def read_or_refuse(path: Path) -> None:
    """Read a file, with and without a unit; within a second and some memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for options in (ReadingOptions(), ReadingOptions(microvolts_per_unit=2)):
        begin = time.process_time()
        try:
            recording = open_recording(path, options)
            for name in list(recording.rates)[:3]:
                for block in recording.blocks(recording.names_of([name]), 10):
                    assert not np.isinf(block.signals[0]).any()
        except RecordError as error:
            assert path.name in str(error)
        assert time.process_time() - begin < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@for_a_while
@given(data=st.data())
def test_changed_files(tmp_path: Path, seeds: list[bytes], data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(seeds)))
    for _ in range(data.draw(st.integers(1, 4))):
        # Fields of the header begin at multiples of four.
        begin = data.draw(st.sampled_from(range(0, 1024, 4)))
        field = data.draw(FIELDS)
        content[begin : begin + 8] = field.ljust(8)[:8]
    stop = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path / "a.edf"
    path.write_bytes(content[:stop])
    read_or_refuse(path)


@for_a_while
@given(content=st.binary(max_size=2000))
def test_any_bytes(tmp_path: Path, seeds: list[bytes], content: bytes) -> None:
    path = tmp_path / "a.edf"
    for whole in (content, seeds[0][:184] + content, seeds[1][:700] + content):
        path.write_bytes(whole)
        read_or_refuse(path)
