"""HeartLang's beats and words on real records of LUDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from wfdb import processing

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.heartlang.shape import RATE, HeartLangConfig
from selfmis_plugin.methods.heartlang.word_input import WordInput
from selfmis_plugin.nn.inputs import Preparation
from tests.heartlang_plain import plain_sentence
from tests.ludb_beats import LUDB_RATE, count, read, records_of


@pytest.mark.slow
def test_words_are_a_plain_loop_over_the_beats_of_wfdb(real_data: Path) -> None:
    """As the authors cut them: XQRS at 100 Hz in millivolts, on lead I for all leads."""
    prepare = WordInput(HeartLangConfig(beats_at="100"), STANDARD_LEADS, LUDB_RATE, RATE)
    words = 0
    for record in records_of(real_data / "ludb")[::3]:
        raw = np.stack([read(record, lead) for lead in STANDARD_LEADS]).round().astype(np.int16)
        found = prepare.sentences(torch.from_numpy(raw)[None], fill=True)
        millivolts = Preparation(LUDB_RATE, RATE).decimate(torch.from_numpy(raw)[None].float())
        millivolts = millivolts[0].double().numpy() / 1000
        beats = processing.xqrs_detect(millivolts[0], RATE, verbose=False)
        plain = plain_sentence(millivolts, list(map(int, beats)), range(1, 13), 256)
        np.testing.assert_allclose(found.words[0], plain[0], atol=1e-5)
        np.testing.assert_array_equal(found.leads[0], plain[1])
        np.testing.assert_array_equal(found.times[0], plain[2])
        words += int(found.real.sum())
    assert words > 5000


@pytest.mark.slow
@pytest.mark.parametrize(("lead", "least"), [("I", 0.95), ("V5", 0.97)])
def test_beats_are_where_they_are_marked(real_data: Path, lead: str, least: float) -> None:
    counts = count(real_data / "ludb", lead, LUDB_RATE)
    assert counts.marked > 1300
    assert counts.sensitivity > least and counts.predictive > least
    # What the authors do: every fourth peak is none, and beats are missed.
    coarse = count(real_data / "ludb", lead, RATE)
    assert coarse.predictive < counts.predictive and coarse.found > counts.found
