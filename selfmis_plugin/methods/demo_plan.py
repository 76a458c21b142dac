"""What a method's demo is made of: a kind of demo each, which :mod:`selfmis_plugin.demo` runs.

A module ``demo`` in a method's folder, or in a package elsewhere, defines ``DEMO``, one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from selfmis_plugin.methods.method import Mode

__all__ = ["Demo", "FewLabels", "FewLabelsSizes", "Leads", "LeadsSizes", "Recipe", "Row", "Sizes"]

#: Records that a cohort of any scale has, so that every step runs.
_LEAST = {"archive": 200, "unlabelled": 120, "study": 200}
_LEAST_OTHERS = 40

AnySizes = TypeVar("AnySizes", bound="Sizes")


@dataclass(frozen=True)
class Sizes:
    """Numbers of records and, in fields whose names end with ``epochs``, of epochs."""

    archive: int
    unlabelled: int
    unlabelled_valid: int
    study: int

    def scaled(self: AnySizes, scale: float) -> AnySizes:
        """Return sizes multiplied by *scale*, large enough to run."""
        if scale == 1.0:
            return self
        return replace(
            self,
            **{
                name: max(1, round(value * scale))
                if name.endswith("epochs")
                else max(_LEAST.get(name, _LEAST_OTHERS), round(value * scale))
                for name, value in asdict(self).items()
            },
        )


@dataclass(frozen=True)
class FewLabelsSizes(Sizes):
    """Sizes of :class:`FewLabels`; a method adds epochs."""

    few_labels: int


@dataclass(frozen=True)
class LeadsSizes(Sizes):
    """Sizes of :class:`Leads`: recordings of persons who come again too; a method adds epochs."""

    recordings: int


@dataclass(frozen=True)
class Demo:
    """A demo of ``selfmis demo``.

    Attributes
    ----------
    name
        Name on the command line.
    title
        One line of help.
    """

    name: str
    title: str


@dataclass(frozen=True)
class Recipe(Demo):
    """A demo that the benchmark trains and judges.

    Attributes
    ----------
    sizes
        Records and epochs at scale 1.
    epochs
        Which of the sizes gives the number of epochs, by stage or mode.
    draws
        Bootstrap draws of each classifier's intervals; 0 leaves intervals out.
    """

    sizes: Sizes
    epochs: Mapping[str, str]
    draws: int


@dataclass(frozen=True)
class Row:
    """A row of a demo's table: which of the benchmark's, and what it is called here."""

    judged: Mode
    what: str


@dataclass(frozen=True)
class FewLabels(Recipe):
    """A table of classifiers trained on few labels of a cohort.

    Attributes
    ----------
    sizes
        Records and epochs at scale 1.
    rows
        Rows of the table by name.
    retrievals
        What the report's file calls the retrieval of the pre-trainings that rows are made of, by
        these rows.
    upper_bound
        The row that sees more than the others may: a line in the picture. Empty: none does.
    """

    sizes: FewLabelsSizes
    rows: Mapping[str, Row]
    retrievals: Mapping[str, str]
    upper_bound: str = ""


@dataclass(frozen=True)
class Leads(Recipe):
    """Questions to a method that embeds each lead, and to what is left of it without a part.

    Attributes
    ----------
    sizes
        Records and epochs at scale 1.
    method
        The method, a row of the benchmark.
    heading
        What the report is about.
    called
        What the report calls the whole method.
    alone
        What the report calls its parts alone, by the names of the methods.
    unaligned
        Which of these does without alignment, as the report calls it.
    others
        Further methods to compare with on infarction.
    modes
        The method's probe of each lead.
    """

    sizes: LeadsSizes
    method: str
    heading: str
    called: str
    alone: Mapping[str, str]
    unaligned: str
    others: tuple[str, ...]
    modes: Mapping[str, str]
