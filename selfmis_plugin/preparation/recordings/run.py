"""Turn own recordings into a store: a wearable's channel beside a reference."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.origin import Origin, stated
from selfmis_plugin.data.quality import choose_threshold
from selfmis_plugin.data.store import SPLITS, Store, StoreWriter
from selfmis_plugin.data.store.writer import refused_row
from selfmis_plugin.data.thresholds import PUBLISHED_THRESHOLD
from selfmis_plugin.preparation.input_files import identity, wfdb_files
from selfmis_plugin.preparation.listing import DatabaseError
from selfmis_plugin.preparation.made import Made
from selfmis_plugin.preparation.record import SAMPLE_RATE, SECONDS
from selfmis_plugin.preparation.recordings.channels import REFERENCE_SHARE, ChannelMap
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.preparation.recordings.report import (
    REPORT_FILE,
    REPORT_FOLDER,
    STRIPS,
    WINDOWS_FILE,
    Report,
    window_table,
)
from selfmis_plugin.preparation.recordings.selection import (
    SAMPLES,
    Outcome,
    Strip,
    WindowSelector,
    open_spool,
    picture_channels,
)
from selfmis_plugin.preparation.recordings.sources import Sources, find_sources
from selfmis_plugin.preparation.recordings.subject_splits import SubjectSplits
from selfmis_plugin.preparation.run import PreparationError
from selfmis_plugin.preparation.summary import NOTHING_WRITTEN, origins_text
from selfmis_plugin.utils.files import folder_beside, whole_file
from selfmis_plugin.utils.parallel import ordered_map
from selfmis_plugin.utils.replacing import put_back, replace_folder
from selfmis_plugin.utils.temporary import sweep

__all__ = ["RecordingsOptions", "RecordingsSummary", "find_sources", "prepare_recordings"]

DATABASE = "recordings"
#: What the name of a folder of spooled windows says.
_SPOOL = "windows"


@dataclass(frozen=True)
class RecordingsOptions:
    """What a user asks for.

    Attributes
    ----------
    channels
        Which channel is which.
    reading
        What the files do not say themselves.
    overlap
        Seconds that a window shares with the next.
    quality
        Threshold of the quality figure; None finds it from all windows
        (:func:`selfmis_plugin.data.quality.choose_threshold`).
    reference_share
        Share of the reference's channels that must be good in a window. The others are left out
        of it, as absent leads are.
    splits
        How subjects are divided.
    origin
        Where the recordings come from, in the user's words; None where nothing is said.
    """

    channels: ChannelMap
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    overlap: float = 0.0
    quality: float | None = PUBLISHED_THRESHOLD
    reference_share: float = REFERENCE_SHARE
    splits: SubjectSplits = field(default_factory=SubjectSplits)
    origin: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= SECONDS - 0.1:
            raise DatabaseError(f"an overlap of {self.overlap:g} s is not from 0 to 9.9")
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise DatabaseError(f"a quality of {self.quality:g} is not from 0 to 1")
        if not 0 < self.reference_share <= 1:
            raise DatabaseError(f"a share of {self.reference_share:g} is not above 0 and up to 1")


@dataclass(frozen=True)
class RecordingsSummary:
    """What became of the recordings.

    Attributes
    ----------
    dest
        Folder of the store.
    report
        Everything about the windows.
    note
        Where subjects and activities were taken from.
    recordings
        Number of recordings looked at.
    origins
        Where they come from; none where it is not recorded.
    done_before
        Whether the store was there already, made from the same by the same command.
    """

    dest: Path
    report: Report
    note: str
    recordings: int
    origins: tuple[Origin, ...] = ()
    done_before: bool = False

    def __str__(self) -> str:
        windows = self.report.windows
        kept = windows[windows["reason"] == ""]
        splits = Counter(kept["split"])
        subjects = kept.groupby("split")["subject"].nunique()
        shown = ", ".join(
            f"{split} {splits[split]:,} ({subjects.get(split, 0)} subjects)" for split in SPLITS
        )
        lines = [
            *([f"{self.dest}: is done; {NOTHING_WRITTEN}"] if self.done_before else []),
            f"{DATABASE}: {self.recordings:,} read, {len(kept):,} of {len(windows):,} windows "
            f"stored in {self.dest}",
            f"  {self.note}",
            f"  splits: {shown}",
            f"  origin: {origins_text(self.origins)}",
            f"  quality: at least {self.report.threshold:.3g} ({self.report.rule})",
            f"  recordings refused: {len(self.report.refused)}",
            *(f"    {reason}" for _, reason in self.report.refused[:5]),
            *(f"  {line}" for line in self.report.table().splitlines()),
            f"  report and pictures: {self.dest / REPORT_FOLDER}",
        ]
        return "\n".join(lines)


def prepare_recordings(
    sources: Sources,
    dest: Path,
    options: RecordingsOptions,
    workers: int = 1,
    overwrite: bool = False,
) -> RecordingsSummary:
    """Cut recordings into windows and store the good ones.

    The store's leads are the twelve standard ones and the wearable's channel. Windows that have
    no bad sign are spooled beside *dest*; once all figures are known, and with them the
    threshold, those that reach it are copied into the store. Memory holds the figures only. A store
    that was made so already, from recordings that are as they were, is left alone.

    Parameters
    ----------
    sources
        The recordings.
    dest
        Folder of the store to make; its ``report`` says what was kept and refused.
    options
        What is asked for.
    workers
        Number of processes. The store does not depend on it.
    overwrite
        Whether to replace a store at *dest*.

    Raises
    ------
    StoreError
        If *dest* is there already, and not made just so.
    WriteError
        If the disk is full, or nothing may be written there.
    PreparationError
        If no window could be kept, or none to train on; ``DEST.report`` and ``DEST.refused.tsv``
        then say why.
    DatabaseError
        If the subjects cannot be divided as asked.
    OriginError
        If an origin is stated that the files themselves tell.
    """
    made = Made(str(sources.root), _made_by(options, sources))
    if not overwrite:
        done = _done_before(dest.absolute(), made, sources)
        if done is not None:
            return done
    writer = StoreWriter(
        dest,
        database=DATABASE,
        sample_rate=SAMPLE_RATE,
        seconds=SECONDS,
        leads=options.channels.store_leads,
        overwrite=overwrite,
        origins=stated(sources.origins, options.origin),
    )
    everyone = {s.subject for s in sources.recordings if s.problem is None}
    if everyone:
        options.splits.assign(everyone)  # what cannot be is better said before hours are read
    with folder_beside(writer.dest, _SPOOL) as spool:
        return _prepare(sources, writer, options, workers, spool, everyone, made)


def _prepare(
    sources: Sources,
    writer: StoreWriter,
    options: RecordingsOptions,
    workers: int,
    spool: Path,
    everyone: set[str],
    made: Made,
) -> RecordingsSummary:
    channels = options.channels
    digest = _digest(sources)
    selector = WindowSelector(
        sources.root,
        spool,
        channels,
        options.reading,
        SECONDS - options.overlap,
        options.reference_share,
    )
    outcomes = list(
        ordered_map(
            selector,
            enumerate(sources.recordings),
            workers,
            len(sources.recordings),
            DATABASE,
        )
    )
    threshold, rule = _threshold(outcomes, options.quality)
    reasons = [_reasons(outcome, threshold) for outcome in outcomes]
    usable = {o.source.subject for o, why in zip(outcomes, reasons, strict=True) if "" in why}
    splits, problem = {}, None if usable else "no window can be used"
    if usable:
        try:
            splits = options.splits.assign(usable, everyone)
        except DatabaseError as error:
            problem = f"after selection {error}"
    report = Report(
        settings=_settings(options, sources),
        threshold=threshold,
        rule=rule,
        windows=window_table(outcomes, reasons, splits, _record_id),
        refused=[(o.source.path, o.problem.reason) for o in outcomes if o.problem],
        group="activity" if any(o.source.activity for o in outcomes) else "subject",
    )
    _collect_examples(report, outcomes, reasons, spool, channels)
    report.write(spool / REPORT_FOLDER)
    if problem:
        raise PreparationError(_no_store(problem, report, writer.dest, spool))
    with writer:
        for source, reason in report.refused:
            writer.refuse(source, reason)
        for number, outcome in enumerate(outcomes):
            _store(writer, spool, number, outcome, reasons[number], splits, channels)
        writer.adopt(spool / REPORT_FOLDER)
        writer.at_the_end(lambda folder: made.write(folder, digest, {}))
    return RecordingsSummary(
        writer.dest, report, sources.note, len(outcomes), writer.layout.origins
    )


def _made_by(options: RecordingsOptions, sources: Sources) -> dict[str, object]:
    settings = _settings(options, sources)
    origins = [origin.to_dict() for origin in stated(sources.origins, options.origin)]
    leads = list(options.channels.store_leads)
    return {"database": DATABASE, **settings, "leads": leads, "origins": origins}


def _digest(sources: Sources) -> str:
    """Return a digest of what is said about the recordings, and of size and date of their files."""
    digest = hashlib.sha256()
    for source in sources.recordings:
        path = str(sources.root / source.path)
        names = wfdb_files(path) if path.casefold().endswith(".hea") else (path,)
        problem = source.problem.reason if source.problem else ""
        said = [source.path, source.name, source.subject, source.activity, problem]
        text = json.dumps([*said, [[name, identity(name)] for name in names]])
        digest.update(text.encode())
    return digest.hexdigest()


def _done_before(dest: Path, made: Made, sources: Sources) -> RecordingsSummary | None:
    """Return the summary of a store that was made just so; what killed runs have left goes."""
    put_back(dest)
    if made.found_in(dest, lambda: _digest(sources)) is None:
        return None
    try:
        report = Report.read(dest / REPORT_FOLDER)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the user has taken something out of it
    sweep(dest, _SPOOL)
    sweep(dest)
    origins = Store.open(dest).info.origins
    return RecordingsSummary(dest, report, sources.note, len(sources.recordings), origins, True)


def _threshold(outcomes: Sequence[Outcome], asked: float | None) -> tuple[float, str]:
    if asked is not None:
        return asked, "as asked"
    figures = [
        figure
        for outcome in outcomes
        for figure, reason in zip(outcome.figures, outcome.reasons, strict=True)
        if not reason
    ]
    return choose_threshold(figures), f"found from {len(figures):,} windows without a bad sign"


def _reasons(outcome: Outcome, threshold: float) -> list[str]:
    return [
        reason or ("" if figure >= threshold else "quality")
        for reason, figure in zip(outcome.reasons, outcome.figures, strict=True)
    ]


def _record_id(outcome: Outcome, window: int) -> str:
    return f"{outcome.source.name}/{window + 1:05d}"


def _spooled(outcome: Outcome) -> list[int]:
    """Numbers of the windows in the spool, in its order."""
    return [k for k, reason in enumerate(outcome.reasons) if not reason]


def _store(
    writer: StoreWriter,
    spool: Path,
    number: int,
    outcome: Outcome,
    reasons: Sequence[str],
    splits: dict[str, str],
    channels: ChannelMap,
) -> None:
    spooled = _spooled(outcome)
    if not spooled:
        return
    windows = open_spool(spool, number, len(spooled), len(channels.channels))
    leads = [len(STANDARD_LEADS), *(STANDARD_LEADS.index(lead) for lead, _ in channels.multi)]
    for row, window in enumerate(spooled):
        if reasons[window]:
            continue
        signal = np.zeros((len(STANDARD_LEADS) + 1, SAMPLES), dtype=np.int16)
        signal[leads] = windows[row]
        writer.append(
            signal,
            {
                "record_id": _record_id(outcome, window),
                "patient_id": outcome.source.subject,
                "source": outcome.source.path,
                "split": splits[outcome.source.subject],
                "repaired": outcome.repairs[row],
                "lead_mask": outcome.masks[row],
            },
        )


def _collect_examples(
    report: Report,
    outcomes: Sequence[Outcome],
    reasons: Sequence[Sequence[str]],
    spool: Path,
    channels: ChannelMap,
) -> None:
    """Choose for each group the windows of every reason, and kept ones from best to worst."""
    turned_down: dict[str, dict[str, Strip]] = {}
    candidates: dict[str, list[tuple[float, int, int]]] = {}
    for number, (outcome, why) in enumerate(zip(outcomes, reasons, strict=True)):
        group = getattr(outcome.source, report.group)
        for reason, strip in outcome.examples.items():
            turned_down.setdefault(group, {}).setdefault(reason, strip)
        for row, window in enumerate(_spooled(outcome)):
            if why[window] == "":
                candidates.setdefault(group, []).append((outcome.figures[window], number, row))
            elif "quality" not in turned_down.setdefault(group, {}):
                turned_down[group]["quality"] = _strip(outcome, why, spool, number, row, channels)
    for group, strips in turned_down.items():
        # The rarest to see first: what a threshold did, then what no threshold changes.
        order = ("quality", "reference", "beats", "noisy", "clipped", "off", "flat", "missing")
        report.turned_down[group] = [strips[name] for name in order if name in strips]
    for group, found in candidates.items():
        found.sort(reverse=True)
        chosen = np.unique(np.linspace(0, len(found) - 1, STRIPS).round().astype(int))
        report.kept[group] = [
            _strip(outcomes[number], reasons[number], spool, number, row, channels)
            for _, number, row in (found[k] for k in chosen)
        ]


def _strip(
    outcome: Outcome,
    reasons: Sequence[str],
    spool: Path,
    number: int,
    row: int,
    channels: ChannelMap,
) -> Strip:
    spooled = _spooled(outcome)
    windows = open_spool(spool, number, len(spooled), len(channels.channels))
    signals: npt.NDArray[np.float32] = windows[row].astype(np.float32)
    window = spooled[row]
    return Strip(
        outcome.source.path,
        outcome.starts[window],
        outcome.figures[window],
        reasons[window],
        picture_channels(channels),
        signals,
        SAMPLE_RATE,
    )


def _settings(options: RecordingsOptions, sources: Sources) -> dict[str, object]:
    return {
        "root": str(sources.root),
        "subjects_from": sources.note,
        "single": options.channels.single,
        "lead": options.channels.name,
        "multi": dict(options.channels.multi),
        "overlap": options.overlap,
        "quality": "auto" if options.quality is None else options.quality,
        "reference_share": options.reference_share,
        "rate": options.reading.rate,
        "microvolts_per_unit": options.reading.microvolts_per_unit,
        "splits": asdict(options.splits),
    }


def _is_reports(name: str) -> bool:
    return name in (REPORT_FILE, WINDOWS_FILE) or name.endswith(".png")


def _no_store(problem: str, report: Report, dest: Path, spool: Path) -> str:
    """Leave the report and the refused recordings beside *dest*; return what to say."""
    refused = dest.with_name(dest.name + ".refused.tsv")
    rows = ["source\treason\n", *(refused_row(source, reason) for source, reason in report.refused)]
    with whole_file(refused) as temporary:
        temporary.write_text("".join(rows), encoding="utf-8", newline="\n")
    folder = dest.with_name(dest.name + ".report")
    put_back(folder)
    replace_folder(spool / REPORT_FOLDER, folder, is_own=_is_reports)
    lines = [
        f"{DATABASE}: {problem}; of {len(report.windows):,} windows:",
        *(f"    {reason}" for _, reason in report.refused[:5]),
        *(f"  {line}" for line in report.table().splitlines()),
        f"all reasons are in {refused} and {folder}",
    ]
    return "\n".join(lines)
