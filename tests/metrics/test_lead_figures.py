"""Figures about leads and persons against independent computations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier

from selfmis_plugin.metrics.identification import day_rules, identify
from selfmis_plugin.metrics.lead_correlation import correlate_leads
from selfmis_plugin.metrics.lead_synthesis import (
    mean_beat_at_peaks,
    mean_ecg,
    nearest_ecg,
    score,
)
from selfmis_plugin.metrics.wilson import wilson_interval

LEADS = ("I", "II", "V1")


def test_lead_correlation_is_scipys_averaged_over_records() -> None:
    values = np.random.default_rng(0).normal(size=(7, 3, 5)) + np.arange(5)
    found = correlate_leads(values, LEADS)
    for kind, of in ((found.as_is, values), (found.centred, values - values.mean(axis=0))):
        for a, b in itertools.product(range(3), repeat=2):
            same = [stats.pearsonr(of[n, a], of[n, b])[0] for n in range(7)]
            assert kind.same[a, b] == pytest.approx(np.mean(same))
            other = [
                stats.pearsonr(of[n, a], of[m, b])[0]
                for n, m in itertools.permutations(range(7), 2)
            ]
            assert kind.other[a, b] == pytest.approx(np.mean(other))
    assert found.as_is.mean_same == pytest.approx(
        np.mean([found.as_is.same[a, b] for a, b in itertools.permutations(range(3), 2)])
    )


def test_a_mean_that_all_records_share_makes_a_correlation_that_the_control_unmasks() -> None:
    rng = np.random.default_rng(1)
    values = 10 * rng.normal(size=64) + rng.normal(size=(50, 3, 64))
    found = correlate_leads(values, LEADS)
    assert found.as_is.mean_same > 0.9 and found.as_is.mean_other > 0.9
    assert abs(found.centred.mean_same) < 0.1 and abs(found.centred.mean_other) < 0.1


def test_leads_that_say_the_same_of_each_record_correlate_wholly() -> None:
    values = np.repeat(np.random.default_rng(2).normal(size=(40, 1, 32)), 3, axis=1)
    found = correlate_leads(values, LEADS)
    assert found.centred.mean_same == pytest.approx(1) and abs(found.centred.mean_other) < 0.1


@pytest.mark.parametrize("shape", [(1, 3, 4), (5, 2, 4), (5, 3, 1), (5, 12)])
def test_embeddings_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="are not"):
        correlate_leads(np.zeros(shape), LEADS)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_identification_is_scikit_learns_nearest_neighbour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    persons = np.concatenate([np.repeat(np.arange(12), rng.integers(1, 5, 12)), [20, 20, 21, 21]])
    values = rng.normal(size=(22, 6))[persons] + 0.8 * rng.normal(size=(len(persons), 6))
    names = [f"p{person}" for person in persons]
    several = np.bincount(persons)[persons] > 1
    own, rows = persons[several], values[several] - values[several].mean(axis=0)
    first = np.zeros(len(own), dtype=bool)
    first[np.unique(own, return_index=True)[1]] = True
    nearest = KNeighborsClassifier(1, metric="cosine").fit(rows[first], own[first])
    hits = nearest.predict(rows[~first]) == own[~first]
    found = identify(values, names)
    assert (found.probes, found.persons) == ((~first).sum(), first.sum())
    assert found.left_out == np.count_nonzero(np.bincount(persons) == 1)
    assert found.rank1 == pytest.approx(hits.mean())
    assert found.low <= found.rank1 <= found.high and found.rank1 <= found.rank5

    distances = pairwise_distances(rows, metric="cosine")
    np.fill_diagonal(distances, np.inf)
    hits = own[distances.argmin(axis=1)] == own
    assert identify(values, names, "others").rank1 == pytest.approx(hits.mean())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_days_part_gallery_and_probes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    persons = np.concatenate([np.arange(12), np.repeat(np.arange(6), 4)])
    later = [None if rng.random() < 0.1 else day for _ in range(6) for day in (1, 1, 2, 3)]
    days: list[int | None] = [1] * 12 + later
    values = rng.normal(size=(12, 6))[persons] + 0.8 * rng.normal(size=(len(persons), 6))
    names = [f"p{person}" for person in persons]
    for rule, asked in (("within_day", {1}), ("across_days", {2, 3})):
        gallery = np.arange(12)
        probes = [k for k in range(12, len(persons)) if days[k] in asked]
        used = values[[*gallery, *probes]]
        rows = values - used.mean(axis=0)
        nearest = KNeighborsClassifier(1, metric="cosine").fit(rows[gallery], persons[gallery])
        hits = nearest.predict(rows[probes]) == persons[probes]
        found = identify(values, names, rule, days)
        assert found.rank1 == pytest.approx(hits.mean())
        assert (found.persons, found.probes) == (12, len(probes)) and found.chance == 1 / 12
        assert found.asked == len(set(persons[probes]))


@pytest.mark.parametrize("rule", ["first", "others", "within_day"])
def test_recordings_without_a_beat_recognise_nobody_and_hide_nobody(rule: str) -> None:
    rng = np.random.default_rng(0)
    persons = np.repeat(np.arange(10), 3)
    values = 5 + rng.normal(size=(10, 6))[persons] + 0.1 * rng.normal(size=(30, 6))
    names = [f"p{person:02d}" for person in persons]
    # Of one person nothing is there, of another the first recording, of a third the last.
    values[[0, 1, 2, 3, 8]] = 0
    found = identify(values, names, rule, [1] * 30)
    assert (found.absent, found.persons) == (5, 10)
    # Without them everybody is found, and they are among the probes all the same.
    there = (values != 0).any(axis=1) & (persons > 1)
    whole = identify(values[there], np.array(names)[there].tolist(), rule, [1] * there.sum())
    assert whole.rank1 == 1 and whole.absent == 0
    if rule == "others":
        # The two that are left of the second person know each other.
        assert found.probes == 30 and found.rank1 == pytest.approx(25 / 30)
    else:
        assert found.probes == 20 and found.rank1 == pytest.approx(15 / 20)
    assert found.rank5 == found.rank1  # the last of ten is not among five


def test_two_recordings_without_a_beat_do_not_move_the_mean() -> None:
    rng = np.random.default_rng(1)
    values = 100 + rng.normal(size=(8, 4)).repeat(2, axis=0) + 0.6 * rng.normal(size=(16, 4))
    names = [f"p{k // 2}" for k in range(16)]
    alone = identify(values, names, "others")
    beside = identify(np.vstack([values, np.zeros((2, 4))]), [*names, "q", "q"], "others")
    hits = round(alone.rank1 * alone.probes)
    assert 0 < hits < 16 and round(beside.rank1 * beside.probes) == hits
    nothing = identify(np.zeros((4, 3)), ["a", "a", "b", "b"])
    assert (nothing.rank1, nothing.absent) == (0, 4)


def test_the_first_day_is_the_earliest_wherever_it_is_listed() -> None:
    values = np.eye(4)[[0, 1, 2, 3]] + 0.1
    # Of each person the second recording is the earlier one: that is the gallery's.
    found = identify(values, ["a", "a", "b", "b"], "across_days", [2, 1, 2, 1])
    assert (found.persons, found.probes, found.asked) == (2, 2, 2)
    with pytest.raises(ValueError, match="0 of 2 persons have recordings to ask about"):
        identify(values, ["a", "a", "b", "b"], "within_day", [2, 1, 2, 1])
    for days in (None, [None] * 4):
        with pytest.raises(ValueError, match="prepare the database anew"):
            identify(values, ["a", "a", "b", "b"], "within_day", days)
    with pytest.raises(ValueError, match="3 days of 4 recordings"):
        identify(values, ["a", "a", "b", "b"], "within_day", [1, 1, 2])


def test_days_that_ask_about_nobody_are_left_out() -> None:
    persons = ["a", "a", "b", "b", "c"]
    assert day_rules(persons, [1, 2, 1, 2, 1]) == ("across_days",)
    assert day_rules(persons, [1, 1, 1, 1, 1]) == ("within_day",)
    assert day_rules([*persons, "a", "b"], [1, 1, 1, 1, 1, 2, 2]) == ("within_day", "across_days")
    # One person alone is too few, and unknown days tell nothing.
    assert day_rules(persons, [1, 2, 1, None, 1]) == ()
    assert day_rules(persons, [None] * 5) == ()


def test_embeddings_that_are_all_alike_identify_nobody() -> None:
    persons = ["a", "a", "b", "b"]
    assert identify(np.ones((4, 3)), persons).rank1 == 0
    assert identify(np.ones((4, 3)), persons, "others").rank1 == 0


def test_identification_needs_two_persons_with_two_recordings() -> None:
    with pytest.raises(ValueError, match="1 of 2 persons"):
        identify(np.eye(3), ["a", "a", "b"])


def test_wilson_interval_is_scipys() -> None:
    for right, number in ((0, 10), (7, 10), (90, 90), (81, 263)):
        theirs = stats.binomtest(right, number).proportion_ci(method="wilson")
        assert wilson_interval(right / number, number) == pytest.approx((theirs.low, theirs.high))


def test_score_is_scipys_correlation_and_the_root_mean_square() -> None:
    rng = np.random.default_rng(3)
    truth, made = rng.normal(size=(2, 5, 3, 40)).astype(np.float32)
    made[1, 2] = 0.5
    found = score(truth, made, LEADS)
    for lead in range(3):
        each = [
            0.0 if (n, lead) == (1, 2) else stats.pearsonr(truth[n, lead], made[n, lead])[0]
            for n in range(5)
        ]
        np.testing.assert_allclose(found.correlations[:, lead], each, atol=1e-6)
        assert found.correlation[lead] == pytest.approx(np.mean(each), abs=1e-6)
        differences = (truth[:, lead] - made[:, lead]).astype(float)
        rmse = np.mean([np.sqrt(np.mean(row**2)) for row in differences])
        assert found.rmse[lead] == pytest.approx(rmse)
    report = found.to_dict("I")
    assert report["mean_correlation"] == pytest.approx(found.correlation[1:].mean())


def test_baselines() -> None:
    rng = np.random.default_rng(4)
    train = rng.normal(size=(6, 3, 50)).astype(np.float32)
    np.testing.assert_allclose(mean_ecg(train, 2)[1], train.mean(axis=0), atol=1e-6)
    given_lead = train[[4, 1], 2] + 0.01
    np.testing.assert_array_equal(nearest_ecg(train, given_lead, 2), train[[4, 1]])


def test_mean_beat_stands_at_every_peak() -> None:
    rate, shape = 100, np.hanning(21)
    train = np.zeros((2, 2, 400), dtype=np.float32)
    train[:, 0, 190:211], train[:, 1, 190:211] = shape, -2 * shape
    peaks = [np.array([200]), np.array([200])]
    made = mean_beat_at_peaks(train, peaks, [np.array([100, 300])], rate)
    np.testing.assert_allclose(made[0, 0, 90:111], shape, atol=1e-6)
    np.testing.assert_allclose(made[0, 1, 290:311], -2 * shape, atol=1e-6)
    assert not made[0, :, 150:270].any()
