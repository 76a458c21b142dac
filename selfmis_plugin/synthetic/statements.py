"""SCP-ECG statements: PTB-XL's table of them, and which are true of a synthetic heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfmis_plugin.synthetic.heart import Patient
from selfmis_plugin.synthetic.leadfield import lead_weights

__all__ = ["DIAGNOSTIC", "STATEMENTS", "Findings", "Statement", "describe_heart", "describe_rhythm"]


@dataclass(frozen=True)
class Statement:
    """One row of PTB-XL's ``scp_statements.csv``.

    Attributes
    ----------
    code, description
        SCP-ECG acronym and words.
    kinds
        Letters: ``d`` diagnostic, ``f`` form, ``r`` rhythm; a statement can be two of them.
    diagnostic_class, diagnostic_subclass
        PTB-XL's grouping of the diagnostic ones, else empty.
    """

    code: str
    description: str
    kinds: str
    diagnostic_class: str
    diagnostic_subclass: str


# PTB-XL (Wagner et al., Sci Data 7:154, 2020; CC BY 4.0), in the order of its table.
_TABLE = (
    ("NDT", "non-diagnostic T abnormalities", "df", "STTC", "STTC"),
    ("NST_", "non-specific ST changes", "df", "STTC", "NST_"),
    ("DIG", "digitalis-effect", "df", "STTC", "STTC"),
    ("LNGQT", "long QT-interval", "df", "STTC", "STTC"),
    ("NORM", "normal ECG", "d", "NORM", "NORM"),
    ("IMI", "inferior myocardial infarction", "d", "MI", "IMI"),
    ("ASMI", "anteroseptal myocardial infarction", "d", "MI", "AMI"),
    ("LVH", "left ventricular hypertrophy", "d", "HYP", "LVH"),
    ("LAFB", "left anterior fascicular block", "d", "CD", "LAFB/LPFB"),
    ("ISC_", "non-specific ischemic", "d", "STTC", "ISC_"),
    ("IRBBB", "incomplete right bundle branch block", "d", "CD", "IRBBB"),
    ("1AVB", "first degree AV block", "d", "CD", "_AVB"),
    ("IVCD", "non-specific intraventricular conduction disturbance (block)", "d", "CD", "IVCD"),
    ("ISCAL", "ischemic in anterolateral leads", "d", "STTC", "ISCA"),
    ("CRBBB", "complete right bundle branch block", "d", "CD", "CRBBB"),
    ("CLBBB", "complete left bundle branch block", "d", "CD", "CLBBB"),
    ("ILMI", "inferolateral myocardial infarction", "d", "MI", "IMI"),
    ("LAO/LAE", "left atrial overload/enlargement", "d", "HYP", "LAO/LAE"),
    ("AMI", "anterior myocardial infarction", "d", "MI", "AMI"),
    ("ALMI", "anterolateral myocardial infarction", "d", "MI", "AMI"),
    ("ISCIN", "ischemic in inferior leads", "d", "STTC", "ISCI"),
    ("INJAS", "subendocardial injury in anteroseptal leads", "d", "MI", "AMI"),
    ("LMI", "lateral myocardial infarction", "d", "MI", "LMI"),
    ("ISCIL", "ischemic in inferolateral leads", "d", "STTC", "ISCI"),
    ("LPFB", "left posterior fascicular block", "d", "CD", "LAFB/LPFB"),
    ("ISCAS", "ischemic in anteroseptal leads", "d", "STTC", "ISCA"),
    ("INJAL", "subendocardial injury in anterolateral leads", "d", "MI", "AMI"),
    ("ISCLA", "ischemic in lateral leads", "d", "STTC", "ISCA"),
    ("RVH", "right ventricular hypertrophy", "d", "HYP", "RVH"),
    ("ANEUR", "ST-T changes compatible with ventricular aneurysm", "d", "STTC", "STTC"),
    ("RAO/RAE", "right atrial overload/enlargement", "d", "HYP", "RAO/RAE"),
    ("EL", "electrolytic disturbance or drug (former EDIS)", "d", "STTC", "STTC"),
    ("WPW", "Wolf-Parkinson-White syndrome", "d", "CD", "WPW"),
    ("ILBBB", "incomplete left bundle branch block", "d", "CD", "ILBBB"),
    ("IPLMI", "inferoposterolateral myocardial infarction", "d", "MI", "IMI"),
    ("ISCAN", "ischemic in anterior leads", "d", "STTC", "ISCA"),
    ("IPMI", "inferoposterior myocardial infarction", "d", "MI", "IMI"),
    ("SEHYP", "septal hypertrophy", "d", "HYP", "SEHYP"),
    ("INJIN", "subendocardial injury in inferior leads", "d", "MI", "IMI"),
    ("INJLA", "subendocardial injury in lateral leads", "d", "MI", "AMI"),
    ("PMI", "posterior myocardial infarction", "d", "MI", "PMI"),
    ("3AVB", "third degree AV block", "d", "CD", "_AVB"),
    ("INJIL", "subendocardial injury in inferolateral leads", "d", "MI", "IMI"),
    ("2AVB", "second degree AV block", "d", "CD", "_AVB"),
    ("ABQRS", "abnormal QRS", "f", "", ""),
    ("PVC", "ventricular premature complex", "f", "", ""),
    ("STD_", "non-specific ST depression", "f", "", ""),
    ("VCLVH", "voltage criteria (QRS) for left ventricular hypertrophy", "f", "", ""),
    ("QWAVE", "Q waves present", "f", "", ""),
    ("LOWT", "low amplitude T-waves", "f", "", ""),
    ("NT_", "non-specific T-wave changes", "f", "", ""),
    ("PAC", "atrial premature complex", "f", "", ""),
    ("LPR", "prolonged PR interval", "f", "", ""),
    ("INVT", "inverted T-waves", "f", "", ""),
    ("LVOLT", "low QRS voltages in the frontal and horizontal leads", "f", "", ""),
    ("HVOLT", "high QRS voltage", "f", "", ""),
    ("TAB_", "T-wave abnormality", "f", "", ""),
    ("STE_", "non-specific ST elevation", "f", "", ""),
    ("PRC(S)", "premature complex(es)", "f", "", ""),
    ("SR", "sinus rhythm", "r", "", ""),
    ("AFIB", "atrial fibrillation", "r", "", ""),
    ("STACH", "sinus tachycardia", "r", "", ""),
    ("SARRH", "sinus arrhythmia", "r", "", ""),
    ("SBRAD", "sinus bradycardia", "r", "", ""),
    ("PACE", "normal functioning artificial pacemaker", "r", "", ""),
    ("SVARR", "supraventricular arrhythmia", "r", "", ""),
    ("BIGU", "bigeminal pattern (unknown origin, SV or Ventricular)", "r", "", ""),
    ("AFLT", "atrial flutter", "r", "", ""),
    ("SVTAC", "supraventricular tachycardia", "r", "", ""),
    ("PSVT", "paroxysmal supraventricular tachycardia", "r", "", ""),
    ("TRIGU", "trigeminal pattern (unknown origin, SV or Ventricular)", "r", "", ""),
)

STATEMENTS: tuple[Statement, ...] = tuple(Statement(*row) for row in _TABLE)

#: The 44 diagnostic statements.
DIAGNOSTIC: tuple[str, ...] = tuple(row.code for row in STATEMENTS if "d" in row.kinds)


@dataclass(frozen=True)
class Findings:
    """What shows in a heart whatever the rhythm: statements, and the frontal QRS axis (degrees)."""

    statements: dict[str, float]
    axis: float


def describe_heart(patient: Patient) -> Findings:
    """Diagnoses of *patient* and what shows of them in noise-free leads."""
    diagnoses = [infarct.type for infarct in patient.infarctions]
    diagnoses += [name for name in patient.conditions if name != "AFIB"]
    if not diagnoses and "AFIB" not in patient.conditions:
        diagnoses = ["NORM"]
    statements = {code: patient.certainty[code] for code in diagnoses}

    qrs = _qrs_leads(patient)
    high, low = qrs.max(axis=1), qrs.min(axis=1)
    t_wave = _sum_of_waves(patient)
    st = _in_leads(patient, patient.st_vector[None], np.zeros((1, 3)))[0]
    area = qrs[:2].sum(axis=1)
    axis = float(np.degrees(np.arctan2((2 * area[1] - area[0]) / np.sqrt(3), area[0])))

    limb, chest = (high - low)[:2].max(), (high - low)[2:].max()
    voltage = max(-low[2], 0.0) + max(high[6], high[7])
    lateral = t_wave[[0, 1, 4, 5, 6, 7]]
    old = any(
        infarct.stage != "Stadium I" and infarct.severity > 0.55 for infarct in patient.infarctions
    )
    form = {
        "LVOLT": limb < 0.6 and chest < 1.3,
        "HVOLT": limb > 1.9 or chest > 3.3,
        "VCLVH": voltage > 3.5,
        "INVT": bool((lateral < -0.08).sum() >= 2),
        "LOWT": bool(np.abs(lateral).max() < 0.16),
        "STE_": bool((st[[0, 1, 4, 5, 6, 7]] > 0.08).sum() >= 2 or st[2:4].min() > 0.12),
        "STD_": bool((st[[0, 1, 4, 5, 6, 7]] < -0.045).sum() >= 2),
        "QWAVE": old,
        "ABQRS": patient.qrs_duration >= 0.118 or old,
        "LPR": patient.pr >= 0.2 and "AFIB" not in patient.conditions,
    }
    statements.update({code: 0.0 for code, true in form.items() if true})
    return Findings(statements, axis)


def describe_rhythm(
    rate: float, variability: float, fibrillation: bool, premature: int
) -> dict[str, float]:
    """Rhythm statements of one record.

    Parameters
    ----------
    rate
        Mean heart rate, per minute.
    variability
        Standard deviation of the RR intervals over their mean.
    fibrillation
        Whether the atria fibrillate.
    premature
        Ventricular premature beats in the record.
    """
    if fibrillation:
        rhythm = "AFIB"
    elif rate < 60:
        rhythm = "SBRAD"
    elif rate > 100:
        rhythm = "STACH"
    elif variability > 0.05 and not premature:
        rhythm = "SARRH"
    else:
        rhythm = "SR"
    statements = {rhythm: 0.0}
    if premature:
        statements["PVC"] = 0.0
    return statements


def _in_leads(
    patient: Patient, vectors: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float32]:
    return lead_weights(patient.body, vectors.astype(np.float32), positions.astype(np.float32))


def _qrs_leads(patient: Patient) -> NDArray[np.float32]:
    """Noise-free QRS in the independent leads, mV, shape (8, 160), every 2 ms."""
    time = np.arange(-0.12, 0.2, 0.002)[None]
    qrs = patient.qrs
    steps = (time - qrs.times[:, None]) / qrs.widths[:, None]
    weights = _in_leads(patient, qrs.vectors, qrs.positions)
    return weights.T @ np.exp(-0.5 * steps * steps).astype(np.float32)


def _sum_of_waves(patient: Patient) -> NDArray[np.float32]:
    """T wave at its common peak in the independent leads, mV, shape (8,)."""
    waves = patient.t_wave
    heights = np.exp(-0.5 * (waves.times / waves.widths) ** 2).astype(np.float32)
    return heights @ _in_leads(patient, waves.vectors, waves.positions)
