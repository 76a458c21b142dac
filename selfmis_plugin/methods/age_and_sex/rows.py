"""The row of age and sex."""

from __future__ import annotations

from selfmis_plugin.methods.method import NO_ECG, Classifier, Method

METHODS = (
    Method(
        "age_and_sex",
        "age and sex alone, no ECG",
        None,
        {
            NO_ECG: Classifier(
                None, predictor="age_and_sex", about="logistic regression on the records' table"
            )
        },
        by_name=True,
    ),
)
