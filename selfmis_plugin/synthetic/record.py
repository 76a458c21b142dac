"""One ten-second record of a patient: beats, dipole waves, noise, and its statements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from selfmis_plugin.synthetic.heart import Patient, Recording, Waves
from selfmis_plugin.synthetic.leadfield import electrode_noise_matrix, lead_weights, twelve_leads
from selfmis_plugin.synthetic.statements import describe_heart, describe_rhythm
from selfmis_plugin.synthetic.versions import LATEST, draw_patient

__all__ = [
    "LAYOUT_CODES",
    "SAMPLES",
    "SAMPLE_RATE",
    "SyntheticRecord",
    "patient_generator",
    "record_patient",
    "simulate",
]

Floats = NDArray[np.float32]

SAMPLE_RATE = 500
SECONDS = 10
SAMPLES = SAMPLE_RATE * SECONDS

#: Enters the seed, so that the cohorts of different layouts share no patient.
LAYOUT_CODES: dict[str, int] = {"ptbxl": 1, "mimic-iv-ecg": 2, "ecgid": 3}

_TIME = (np.arange(SAMPLES) / SAMPLE_RATE).astype(np.float32)
_ELECTRODES = electrode_noise_matrix()
_FAR = np.float32(10.0)  # seconds: where no wave reaches


@dataclass(frozen=True)
class SyntheticRecord:
    """One record.

    Attributes
    ----------
    signal
        Microvolts, shape (12, 5000), standard leads, 500 Hz, before rounding.
    statements
        SCP-ECG codes that are true of the record, with their likelihood (0 where PTB-XL has none).
    patient
        The patient behind it.
    heart_rate
        Mean rate, per minute.
    axis
        Frontal QRS axis in degrees, 0 to the left and 90 to the feet.
    premature_beats
        Number of ventricular premature beats.
    noise
        PTB-XL's noise columns that apply: ``baseline_drift``, ``static_noise``, ``burst_noise``.
    """

    signal: Floats
    statements: dict[str, float]
    patient: Patient
    heart_rate: float
    axis: float
    premature_beats: int
    noise: tuple[str, ...]


def patient_generator(
    seed: int, layout: str, patient: int, visit: int | None = None
) -> np.random.Generator:
    """Random numbers of one patient, or of one visit of a patient, whatever else is drawn.

    Raises
    ------
    ValueError
        If *layout* is unknown or a number is negative.
    """
    if layout not in LAYOUT_CODES:
        raise ValueError(f"layout {layout!r} is not one of {', '.join(LAYOUT_CODES)}")
    if seed < 0 or patient < 0 or (visit is not None and visit < 0):
        raise ValueError(f"seed {seed}, patient {patient}, visit {visit}: none may be negative")
    branch = () if visit is None else (visit,)
    # From 1: zero is what a SeedSequence pads with, and the cohort as a whole draws from it.
    sequence = np.random.SeedSequence([seed, LAYOUT_CODES[layout], patient + 1], spawn_key=branch)
    return np.random.Generator(np.random.SFC64(sequence))


def simulate(
    seed: int,
    patient: int = 0,
    visit: int = 0,
    layout: str = "ptbxl",
    infarctions: tuple[str, ...] | None = None,
    version: int = LATEST,
) -> SyntheticRecord:
    """Simulate one record: the one that the cohort of that seed holds for that patient and visit.

    Parameters
    ----------
    seed
        Seed of the cohort.
    patient, visit
        Which patient, and which of the patient's records, from 0.
    layout
        ``ptbxl`` or ``mimic-iv-ecg``; the two share no patient.
    infarctions
        Give the patient these of the nine types (at most two, empty for none), do not draw them.
    version
        Of the cohort, see :data:`selfmis_plugin.synthetic.versions.VERSIONS`.

    Examples
    --------
    >>> record = simulate(seed=1, patient=3, infarctions=("IMI",))
    >>> record.signal.shape, "IMI" in record.statements
    ((12, 5000), True)
    """
    person = draw_patient(patient_generator(seed, layout, patient), version, infarctions)
    return record_patient(person, patient_generator(seed, layout, patient, visit))


def record_patient(patient: Patient, random: np.random.Generator) -> SyntheticRecord:
    """Record *patient* once: draw a rate, beats and noise, and sum them in every lead."""
    fibrillation = "AFIB" in patient.conditions
    rate = float(np.clip(patient.rate + random.normal(0, 5), 45, 120))
    breathing = random.uniform(0.18, 0.33), random.uniform(0, 2 * np.pi)
    beats = _beat_times(random, rate, patient.respiratory_arrhythmia, breathing, fibrillation)
    ectopic = _make_premature(random, beats, patient.premature_share)

    kernels, weights = _heart_rows(random, patient, beats, ectopic)
    gain = 1.0 + 0.03 * np.sin(2 * np.pi * breathing[0] * _TIME + breathing[1], dtype=np.float32)
    independent = (weights @ kernels) * (gain * np.float32(1e3))
    if fibrillation:
        independent += _fibrillation_waves(random, patient)
    noise, flags = _noise(random, breathing[0], patient.recording)
    independent += noise
    if patient.recording.centred:
        independent -= independent.mean(axis=1, keepdims=True)

    inside = (beats >= 0) & (beats < SECONDS)
    findings = describe_heart(patient)
    statements = dict(findings.statements)
    intervals = np.diff(beats[inside])
    mean_rate = 60.0 / float(intervals.mean())
    statements.update(
        describe_rhythm(
            rate=mean_rate,
            variability=float(intervals.std() / intervals.mean()),
            fibrillation=fibrillation,
            premature=int((ectopic & inside).sum()),
        )
    )
    return SyntheticRecord(
        signal=twelve_leads(independent),
        statements=statements,
        patient=patient,
        heart_rate=mean_rate,
        axis=findings.axis,
        premature_beats=int((ectopic & inside).sum()),
        noise=flags,
    )


def _beat_times(
    random: np.random.Generator,
    rate: float,
    arrhythmia: float,
    breathing: tuple[float, float],
    fibrillation: bool,
) -> NDArray[np.float64]:
    """R wave times from before the record to after it."""
    mean = 60.0 / rate
    count = int((SECONDS + 6) / mean * 1.4) + 4
    jitter = random.standard_normal(count)
    if fibrillation:
        intervals = mean * np.exp(0.19 * jitter)
    else:
        phase = 2 * np.pi * breathing[0] * mean * np.arange(count) + breathing[1]
        intervals = mean * (1.0 + arrhythmia * np.sin(phase) + 0.008 * jitter)
    intervals = np.maximum(intervals, 0.36)
    return -2.0 - random.uniform(0, mean) + np.cumsum(intervals)


def _make_premature(
    random: np.random.Generator, beats: NDArray[np.float64], probability: float
) -> NDArray[np.bool_]:
    """Move up to three beats forward in place, and say which."""
    ectopic = np.zeros(len(beats), dtype=bool)
    if random.random() < probability:
        inside = np.flatnonzero((beats > 1.0) & (beats < SECONDS - 0.5))
        for index in random.choice(
            inside[::2], size=min(len(inside[::2]), int(random.integers(1, 4))), replace=False
        ):
            interval = beats[index] - beats[index - 1]
            beats[index] -= interval * random.uniform(0.22, 0.36)
            ectopic[index] = True
    return ectopic


def _nearest(centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the nearest centre for every sample."""
    edges = (
        np.ceil((centres[1:] + centres[:-1]) * (0.5 * SAMPLE_RATE))
        .clip(0, SAMPLES)
        .astype(np.int64)
    )
    return np.repeat(np.arange(len(centres)), np.diff(edges, prepend=0, append=SAMPLES))


def _gaussians(relative: Floats, waves: Waves) -> Floats:
    """Rows of Gaussian waves over the time relative to their beat, shape (waves, samples)."""
    times = waves.times.astype(np.float32)[:, None]
    scale = (1.0 / waves.widths).astype(np.float32)[:, None]
    steps = (relative - times) * scale
    return np.exp(np.float32(-0.5) * steps * steps)


def _heart_rows(
    random: np.random.Generator,
    patient: Patient,
    beats: NDArray[np.float64],
    ectopic: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Waves over time (waves, samples) and their weights in the independent leads (8, waves)."""
    intervals = np.diff(beats, prepend=2 * beats[0] - beats[1])
    scale = np.sqrt(np.clip(intervals, 0.45, 1.4))
    peaks = patient.qt * scale - 0.04 - 0.085 * scale
    onset = float((patient.qrs.times - 2 * patient.qrs.widths).min())

    of_beat = _nearest(beats)
    strength = (1.0 + 0.02 * random.standard_normal(len(beats))).astype(np.float32)
    normal = ~ectopic[of_beat]
    since_beat = (_TIME - beats[of_beat]).astype(np.float32)
    rows = [_gaussians(np.where(normal, since_beat, _FAR), patient.qrs)]
    rows[0] *= strength[of_beat]

    of_p = _nearest(beats - patient.pr + onset + 0.045)
    since_p = (_TIME - (beats - patient.pr + onset + 0.045)[of_p]).astype(np.float32)
    rows.append(_gaussians(np.where(ectopic[of_p], _FAR, since_p), patient.p_wave))

    of_t = _nearest(beats + peaks)
    since_t = ((_TIME - (beats + peaks)[of_t]) / scale[of_t]).astype(np.float32)
    rows.append(_gaussians(np.where(ectopic[of_t], _FAR, since_t), patient.t_wave))

    junction = np.float32(patient.qrs_duration + onset)
    rise = np.clip((since_beat - junction) / np.float32(0.007), -20, 20)
    fall = np.clip((peaks[of_beat] - since_beat) / (0.026 * scale[of_beat]), -20, 20).astype(
        np.float32
    )
    # Sigmoids, as the cohort's bytes have always been made: SciPy's round in another way.
    rows.append((normal / ((1 + np.exp(-rise)) * (1 + np.exp(-fall))))[None].astype(np.float32))

    parts = [patient.qrs, patient.p_wave, patient.t_wave]
    vectors = [part.vectors for part in parts] + [patient.st_vector[None]]
    positions = [part.positions for part in parts] + [np.zeros((1, 3))]
    if ectopic.any():
        rows.append(_gaussians(np.where(normal, _FAR, since_beat), patient.ectopic))
        vectors.append(patient.ectopic.vectors)
        positions.append(patient.ectopic.positions)
    weights = lead_weights(
        patient.body,
        np.concatenate(vectors).astype(np.float32),
        np.concatenate(positions).astype(np.float32),
    )
    return np.concatenate(rows), np.ascontiguousarray(weights.T)


def _fibrillation_waves(random: np.random.Generator, patient: Patient) -> Floats:
    """Fine irregular waves of the atria at 5 to 8 per second, microvolts."""
    frequency = random.uniform(5.0, 8.0)
    wobble = np.float32(1.2) * np.sin(
        2 * np.pi * random.uniform(0.3, 0.9) * _TIME + random.uniform(0, 6.28), dtype=np.float32
    )
    phase = (2 * np.pi * frequency * _TIME + random.uniform(0, 6.28)).astype(np.float32) + wobble
    rows = np.stack([np.sin(phase), np.sin(np.float32(2) * phase + wobble)])
    vectors = random.uniform(25, 70) * np.array([[-0.35, 0.6, -0.6], [0.12, 0.15, -0.15]])
    vectors = vectors + 8 * random.standard_normal((2, 3))
    weights = lead_weights(
        patient.body, vectors.astype(np.float32), np.zeros((2, 3), dtype=np.float32)
    )
    return weights.T @ rows.astype(np.float32)


_BINS = 1500  # muscle noise up to 150 Hz, in steps of 0.1 Hz
_FREQUENCIES = (np.arange(_BINS) * (SAMPLE_RATE / SAMPLES)).astype(np.float32)
# Surface electromyogram: a plateau from 20 to 90 Hz, over white amplifier noise.
_MUSCLE = (
    (_FREQUENCIES / 20) ** 2
    / (1 + (_FREQUENCIES / 20) ** 2)
    / np.sqrt(1 + (_FREQUENCIES / 90) ** 4)
    + 0.1
).astype(np.float32)
# Scaled so that a unit amplitude gives a root mean square of 1 after the inverse transform.
_MUSCLE *= np.float32(SAMPLES / 2 / np.sqrt(np.sum(_MUSCLE.astype(np.float64) ** 2)))


def _noise(
    random: np.random.Generator, breathing: float, style: Recording
) -> tuple[Floats, tuple[str, ...]]:
    """Noise of nine electrodes in eight independent leads, microvolts, and its PTB-XL columns."""
    flags: list[str] = []
    muscle = float(np.exp(np.log(style.muscle) + style.muscle_spread * random.standard_normal()))
    levels = muscle * np.exp(0.3 * random.standard_normal(9))
    spectrum = random.standard_normal((9, 2 * _BINS), dtype=np.float32).view(np.complex64)
    mixed = (_ELECTRODES * levels.astype(np.float32)) @ (spectrum * _MUSCLE)
    mixed[:, 0] = 0
    noise = fft.irfft(mixed, n=SAMPLES, axis=1)
    if muscle > 14:
        flags.append("static_noise")

    rows: list[Floats] = []
    amplitudes: list[NDArray[np.float64]] = []
    arms, leg, chest = style.drift
    wander = np.array([arms, arms, leg, *[chest] * 6])
    drift = float(np.exp(np.log(32.0) + 0.6 * random.standard_normal()))
    for frequency, share in (
        (breathing, 1.0),
        (random.uniform(0.05, 0.15), 1.2),
        (random.uniform(0.3, 0.6), 0.4),
    ):
        phase = (2 * np.pi * frequency * _TIME).astype(np.float32)
        rows += [np.sin(phase), np.cos(phase)]
        amplitudes += [wander * (share * drift * random.standard_normal(9)) for _ in range(2)]
    if drift > 75:
        flags.append("baseline_drift")
    if random.random() < 0.5:
        mains = 50.0 if random.random() < 0.75 else 60.0
        phase = (2 * np.pi * (mains + random.uniform(-0.05, 0.05)) * _TIME).astype(np.float32)
        rows += [np.sin(phase), np.cos(phase)]
        level = float(np.exp(np.log(4.0) + 0.6 * random.standard_normal()))
        amplitudes += [level * random.standard_normal(9) for _ in range(2)]
    if random.random() < 0.08:
        # An electrode moves: its potential jumps and creeps back.
        since = _TIME - np.float32(random.uniform(0.5, 9.0))
        decay = np.exp(-np.maximum(since, 0) / np.float32(random.uniform(0.2, 1.2)))
        rows.append(decay / (1 + np.exp(-np.clip(since / np.float32(0.02), -30, 30))))
        moved = np.zeros(9)
        moved[int(random.integers(9))] = random.choice((-1.0, 1.0)) * random.uniform(150, 600)
        amplitudes.append(moved)
        flags.append("burst_noise")
    weights = _ELECTRODES @ np.stack(amplitudes, axis=1).astype(np.float32)
    noise += weights @ np.stack(rows).astype(np.float32)
    return noise.astype(np.float32), tuple(flags)
