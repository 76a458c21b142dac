"""Splits by subject: nobody is on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from selfmis_plugin.preparation.listing import DatabaseError

#: Of the subjects, to validate on and to test on, unless it is said.
SHARE = 0.1


@dataclass(frozen=True)
class SubjectSplits:
    """How subjects are divided.

    Attributes
    ----------
    valid_fraction, test_fraction
        Shares of the subjects; None: ``SHARE``, or nobody but the subjects that are named.
    valid_subjects, test_subjects
        Named subjects, in place of a share.
    seed
        Draws which subjects the shares are.
    """

    valid_fraction: float | None = None
    test_fraction: float | None = None
    valid_subjects: Sequence[str] = ()
    test_subjects: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for split in ("valid", "test"):
            share = getattr(self, f"{split}_fraction")
            if share is not None and not 0 <= share < 1:
                raise DatabaseError(f"{split}_fraction {share} is not at least 0 and below 1")
            if share and getattr(self, f"{split}_subjects"):
                raise DatabaseError(
                    f"--{split}-fraction {share:g} would not be used beside --{split}-subjects: "
                    "choose one"
                )
        both = sorted(set(self.valid_subjects) & set(self.test_subjects))
        if both:
            raise DatabaseError(
                f"subject {', '.join(both)} is given for validation and for test: choose one"
            )

    def assign(
        self,
        subjects: Iterable[str],
        known: Iterable[str] | None = None,
        given: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the split of each subject.

        Those of *given* stay where they are, and count in the shares.

        A subject that is named and among *known* (by default *subjects*) but not among *subjects*
        has nothing to be divided. The others are ordered by a hash of seed and name; the first are
        test subjects, the next validation subjects, the rest train. A share above zero gives at
        least one subject.

        Raises
        ------
        DatabaseError
            If a named subject is unknown, or nobody is left to train on.
        """
        present = set(subjects)
        known = present if known is None else set(known)
        named = {
            **dict.fromkeys(self.test_subjects, "test"),
            **dict.fromkeys(self.valid_subjects, "valid"),
        }
        unknown = sorted(set(named) - known)
        if unknown:
            raise DatabaseError(
                f"there is no recording of subject {', '.join(unknown)}; there are those of "
                f"{', '.join(sorted(known)) or 'nobody'}"
            )
        splits = {subject: split for subject, split in named.items() if subject in present}
        splits |= {subject: split for subject, split in (given or {}).items() if subject in present}
        free = sorted(present - set(splits), key=self._order)
        if given and not free:
            return splits  # nobody is divided
        for split, listed, share in (
            ("test", self.test_subjects, self.test_fraction),
            ("valid", self.valid_subjects, self.valid_fraction),
        ):
            share = (0.0 if listed else SHARE) if share is None else share
            count = max(1, round(share * len(present))) if share else 0
            count = max(0, count - sum(place == split for place in (given or {}).values()))
            splits.update(dict.fromkeys(free[:count], split))
            free = free[count:]
        splits.update(dict.fromkeys(free, "train"))
        if "train" not in splits.values():
            raise DatabaseError(
                f"{len(present)} subjects leave none to train on: lower --valid-fraction and "
                "--test-fraction (0 for none)"
            )
        return splits

    def _order(self, subject: str) -> str:
        return hashlib.sha256(f"{self.seed}:{subject}".encode()).hexdigest()
