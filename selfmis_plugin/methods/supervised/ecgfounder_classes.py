"""Which of ECGFounder's 150 classes name one of PTB-XL's diagnostic statements.

The classes are outputs of the published files' ``dense`` layer, in the order of ``tasks.txt`` of
the authors' code (https://github.com/PKUDigitalHealth/ECGFounder); their words are those of a
recorder's own interpretation. The statements are those of PTB-XL (Wagner et al., Scientific Data
7, 154, 2020).

A class is taken for a statement of the same words. Three cases need a rule:

- A class that joins two findings which PTB-XL states apart (a block of the right bundle and of a
  fascicle, both atria, both ventricles) counts for both.
- PTB-XL has no septal infarction apart: the class counts for the anteroseptal one, the only
  statement that names the septum.
- Left out are classes that compare with an earlier ECG, name a finding among alternatives, or
  name none of the statements closely: acute infarction without a place, and injury patterns
  (elevated ST, where PTB-XL's injury is subendocardial).

Of the nine infarction types this leaves the inferolateral and the inferoposterolateral without a
class: seven are covered.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CLASSES", "CLASSES_OF_STATEMENT"]

#: Classes of the published head.
CLASSES = 150

#: For each statement the classes that name it: number of the output, counted from 0, and name. It
#: is true where any of them is.
CLASSES_OF_STATEMENT: Mapping[str, Mapping[int, str]] = {
    "NST_": {
        25: "NONSPECIFIC ST ABNORMALITY",
        35: "NONSPECIFIC ST AND T WAVE ABNORMALITY",
    },
    "LNGQT": {80: "PROLONGED QT"},
    "NORM": {2: "NORMAL ECG"},
    "IMI": {61: "INFERIOR INFARCT"},
    "ASMI": {12: "SEPTAL INFARCT", 40: "ANTEROSEPTAL INFARCT"},
    "LVH": {26: "LEFT VENTRICULAR HYPERTROPHY", 143: "BIVENTRICULAR HYPERTROPHY"},
    "LAFB": {
        36: "LEFT ANTERIOR FASCICULAR BLOCK",
        103: "RBBB AND LEFT ANTERIOR FASCICULAR BLOCK",
    },
    "IRBBB": {18: "INCOMPLETE RIGHT BUNDLE BRANCH BLOCK"},
    "1AVB": {79: "WITH 1ST DEGREE AV BLOCK"},
    "IVCD": {
        89: "NONSPECIFIC INTRAVENTRICULAR CONDUCTION DELAY",
        112: "NONSPECIFIC INTRAVENTRICULAR BLOCK",
    },
    "CRBBB": {
        11: "RIGHT BUNDLE BRANCH BLOCK",
        103: "RBBB AND LEFT ANTERIOR FASCICULAR BLOCK",
        139: "RBBB AND LEFT POSTERIOR FASCICULAR BLOCK",
    },
    "CLBBB": {20: "LEFT BUNDLE BRANCH BLOCK"},
    "LAO/LAE": {13: "LEFT ATRIAL ENLARGEMENT", 74: "BIATRIAL ENLARGEMENT"},
    "AMI": {17: "ANTERIOR INFARCT"},
    "ALMI": {54: "ANTEROLATERAL INFARCT"},
    "LMI": {24: "LATERAL INFARCT"},
    "LPFB": {
        70: "LEFT POSTERIOR FASCICULAR BLOCK",
        139: "RBBB AND LEFT POSTERIOR FASCICULAR BLOCK",
    },
    "RVH": {82: "RIGHT VENTRICULAR HYPERTROPHY", 143: "BIVENTRICULAR HYPERTROPHY"},
    "RAO/RAE": {60: "RIGHT ATRIAL ENLARGEMENT", 74: "BIATRIAL ENLARGEMENT"},
    "WPW": {107: "WOLFF-PARKINSON-WHITE"},
    "ILBBB": {62: "INCOMPLETE LEFT BUNDLE BRANCH BLOCK"},
    "IPMI": {88: "INFERIOR-POSTERIOR INFARCT"},
    "PMI": {132: "POSTERIOR INFARCT"},
    "3AVB": {121: "WITH COMPLETE HEART BLOCK"},
    "2AVB": {146: "WITH 2ND DEGREE AV BLOCK MOBITZ I"},
}
