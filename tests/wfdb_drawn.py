"""WFDB records drawn at random: their files, and what they hold.

Each is written twice. The header of the first has whatever forms the format allows; that of the
second, in the folder ``plain`` beside it, has those alone that the wfdb library reads rightly.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from selfmis_plugin.data.leads import STANDARD_LEADS
from tests.wfdb_files import LIMITS, encode

UNITS = {"mV": 1e3, "uV": 1.0, "V": 1e6, "\u00b5V": 1.0, "\u03bcV": 1.0, "MV": 1e3, "": 1e3}
GAINS = ["1000", "200", "204.8", "0.5", "1e3", "500.", "-200", "0", ""]
DATES = [
    "", "10:11:12", "10:11:12 28/02/2180", "10:11:12 2006", "10:11:12 2006-05-04", "5:3",
    "0:0:0.25", "05-May-2020 09:49:17", "25:61:61 31/02/2020", "2006",
]  # fmt: skip
#: Frames a second, as written and as meant, with the samples a frame that make an ECG's rate.
RATES: list[tuple[str, float, list[int]]] = [
    ("500", 500.0, [1, 2]), ("125", 125.0, [1, 2, 4]), ("400.5", 400.5, [1, 3]),
    ("360/360(0)", 360.0, [1]), ("1", 1.0, [100, 500]), ("0.5", 0.5, [250, 500]),
    ("", 250.0, [1]),
]  # fmt: skip
OTHERS = ["PLETH", "Resp", "MLII", "abdomen 1"]


@dataclass(frozen=True)
class Signal:
    """One signal: how it is written, and its digital values."""

    name: str
    file: int
    code: int
    size: int
    gain: str
    baseline: int | None
    unit: str
    skew: int
    digital: npt.NDArray[np.int64] = field(repr=False)

    @property
    def physical(self) -> npt.NDArray[np.float64]:
        """In its own unit; missing samples are NaN."""
        values = (self.digital - (self.baseline or 0)) / (float(self.gain or 0) or 200.0)
        missing = {8: None}.get(self.code, -LIMITS[self.code] - 1)
        shown: npt.NDArray[np.float64] = np.where(self.digital == missing, np.nan, values)
        if self.skew:
            late = self.skew * self.size
            shown = np.append(shown[late:], np.full(min(late, len(shown)), np.nan))
        return shown

    @property
    def microvolts(self) -> npt.NDArray[np.float64]:
        """In microvolts."""
        return self.physical * UNITS[self.unit]


@dataclass(frozen=True)
class Drawn:
    """A record of one segment."""

    name: str
    rate: tuple[str, float]
    frames: int
    length: str
    date: str
    offsets: tuple[int, ...]
    signals: tuple[Signal, ...]

    def write(self, folder: Path, tail: str = "") -> Path:
        """Write signal files and both headers; return that of the free forms."""
        (folder / "plain").mkdir(parents=True, exist_ok=True)
        for number, offset in enumerate(self.offsets):
            signals = [signal for signal in self.signals if signal.file == number]
            frames = np.column_stack([_stored(s).reshape(self.frames, s.size) for s in signals])
            content = b"\xaa" * offset + encode(frames, signals[0].code)
            for place in (folder, folder / "plain"):
                (place / f"{self.name}_{number}.dat").write_bytes(content)
        rate = " ".join([self.rate[0], self.length, self.date]) if self.rate[0] else ""
        lines = [f"{self.name}{tail} {len(self.signals)} {rate}".rstrip()]
        plain = [f"{self.name} {len(self.signals)} {self.rate[1]:g} {self.frames}"]
        for signal in self.signals:
            layout = f"{self.name}_{signal.file}.dat {signal.code}x{signal.size}"
            layout += f":{signal.skew}" if signal.skew else ""
            layout += f"+{self.offsets[signal.file]}"
            baseline = "" if signal.baseline is None else f"({signal.baseline})"
            unit = f"/{signal.unit}" if signal.unit else ""
            gain = f"{signal.gain or '0'}{baseline}{unit}"
            lines.append(f"{layout} {gain} 16 {signal.baseline or 0} 0 0 0 {signal.name}")
            plain.append(
                f"{layout} {float(signal.gain or 0) or 200}({signal.baseline or 0})/mV 16 0 0 0 0 "
                f"{signal.name}"
            )
        header = folder / f"{self.name}.hea"
        header.write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "plain" / header.name).write_text("\n".join(plain) + "\n")
        return header


def _stored(signal: Signal) -> npt.NDArray[np.int64]:
    return np.diff(signal.digital, prepend=0) if signal.code == 8 else signal.digital


@st.composite
def _signals(draw: st.DrawFn, names: list[str], sizes: list[int], frames: int) -> list[Signal]:
    files = draw(st.integers(1, 2)) if len(names) > 1 else 1
    codes = [draw(st.sampled_from(sorted(LIMITS))) for _ in range(files)]
    late = draw(st.sampled_from([0, 0, 0, 1]))
    # The library reads one late signal of a file, none of several samples a frame.
    late_one = files == 1 and set(sizes) == {1}
    signals = []
    for k, (name, size) in enumerate(zip(names, sizes, strict=True)):
        file = min(k, files - 1)
        limit = 60 if codes[file] == 8 else min(LIMITS[codes[file]], 30_000)
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        digital = rng.integers(-limit, limit + 1, frames * size)
        if codes[file] != 8 and draw(st.booleans()):
            digital[rng.integers(0, len(digital), 3)] = -LIMITS[codes[file]] - 1
        signals.append(
            Signal(
                name=name,
                file=file,
                code=codes[file],
                size=size,
                gain=draw(st.sampled_from(GAINS)),
                baseline=draw(st.sampled_from([None, 0, 7, -1024])),
                unit=draw(st.sampled_from(list(UNITS))),
                skew=late if late_one and k == 0 and codes[0] != 8 else 0,
                digital=digital,
            )
        )
    return signals


@st.composite
def records(draw: st.DrawFn) -> Drawn:
    """Records of one segment, of every format, calibration, rate, length and date."""
    names = draw(
        st.lists(st.sampled_from([*STANDARD_LEADS, *OTHERS]), min_size=1, max_size=4, unique=True)
    )
    text, rate, sizes = draw(st.sampled_from(RATES))
    chosen = [draw(st.sampled_from(sizes)) for _ in names]
    if draw(st.booleans()):
        chosen = [chosen[0]] * len(names)
    frames = draw(st.integers(2, 5 if rate < 10 else 40))
    signals = tuple(draw(_signals(names, chosen, frames)))
    # A length that is left out is found exactly where the first file's last group is full.
    total = frames * sum(signal.size for signal in signals if signal.file == 0)
    full = total % {212: 2, 310: 3, 311: 3}.get(signals[0].code, 1) == 0
    lengths = [str(frames), "", "0"] if full and text else [str(frames)]
    length = draw(st.sampled_from(lengths)) if text else str(frames)
    if not text:  # the rate can only be left out with the length
        text = "" if full else "250"
    return Drawn(
        name="r",
        rate=(text, rate),
        frames=frames,
        length=length,
        date=draw(st.sampled_from(DATES)) if length else "",
        offsets=tuple(draw(st.sampled_from([0, 24])) for _ in {s.file for s in signals}),
        signals=signals,
    )


@dataclass(frozen=True)
class DrawnSegments:
    """A record put together of segments; None is a gap of so many frames."""

    rate: float
    sizes: dict[str, int]
    parts: tuple[tuple[Drawn | None, int], ...]
    layout: bool
    length: bool

    @property
    def frames(self) -> int:
        """Of all segments and gaps."""
        return sum(frames for _, frames in self.parts)

    def microvolts(self, name: str) -> npt.NDArray[np.float64]:
        """All of a signal; NaN where a segment lacks it."""
        pieces = []
        for part, frames in self.parts:
            piece = np.full(frames * self.sizes[name], np.nan)
            for signal in part.signals if part else ():
                if signal.name == name:
                    piece = signal.microvolts
            pieces.append(piece)
        return np.concatenate(pieces)

    def write(self, folder: Path) -> Path:
        """Write every file and both headers; return that of the free forms."""
        (folder / "plain").mkdir(parents=True, exist_ok=True)
        for part, _ in self.parts:
            if part is not None:
                part.write(folder)
        names = [part.name if part else "~" for part, _ in self.parts]
        lines = [f"{name} {frames}" for name, (_, frames) in zip(names, self.parts, strict=True)]
        if self.layout:
            lines.insert(0, "all_layout 0")
            layout = [f"all_layout {len(self.sizes)} {self.rate:g} 0"]
            layout += [f"~ 0x{size} 1000/mV 16 0 0 0 0 {n}" for n, size in self.sizes.items()]
            for place in (folder, folder / "plain"):
                (place / "all_layout.hea").write_text("\n".join(layout) + "\n")
        first = f"all/{len(lines)} {len(self.sizes)} {self.rate:g}"
        text = "\n".join([f"{first} {self.frames}", *lines]) + "\n"
        (folder / "plain" / "all.hea").write_text(text)
        header = folder / "all.hea"
        header.write_text(text if self.length else "\n".join([first, *lines]) + "\n")
        return header


@st.composite
def segmented(draw: st.DrawFn) -> DrawnSegments:
    """Records of segments: of fixed layout, or of a variable one with gaps."""
    names = draw(
        st.lists(st.sampled_from([*STANDARD_LEADS, *OTHERS]), min_size=1, max_size=4, unique=True)
    )
    rate = draw(st.sampled_from([500.0, 125.0, 1.0]))
    choices = [250, 500] if rate == 1 else [1, 2, 4]
    if draw(st.booleans()):
        choices = [draw(st.sampled_from(choices))]
    sizes = {name: draw(st.sampled_from(choices)) for name in names}
    layout = draw(st.booleans())
    parts: list[tuple[Drawn | None, int]] = []
    for number in range(draw(st.integers(1, 4))):
        frames = draw(st.integers(2, 5 if rate == 1 else 20))
        if layout and draw(st.integers(0, 3)) == 0:
            parts.append((None, frames))
            continue
        some = draw(st.permutations(names)) if layout else names
        some = some[: draw(st.integers(1, len(some)))] if layout else some
        signals = [
            replace(signal, skew=0)
            for signal in draw(_signals(some, [sizes[name] for name in some], frames))
        ]
        part = Drawn(
            f"s{number}", (f"{rate:g}", rate), frames, str(frames), draw(st.sampled_from(DATES)),
            (0,) * len({signal.file for signal in signals}), tuple(signals),
        )  # fmt: skip
        parts.append((part, frames))
    return DrawnSegments(rate, sizes, tuple(parts), layout, draw(st.booleans()))


def plain_name(header: Path) -> str:
    """Return the record that the wfdb library reads, by the name that it takes."""
    return os.fspath(header.parent / "plain" / header.stem)
