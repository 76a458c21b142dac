"""Text files of ECGs in the forms in which programs, recorders and phones write them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from hypothesis import assume
from hypothesis import strategies as st

#: Microvolts in a unit, by its spelling.
UNITS: dict[str, float] = {
    "uV": 1, "µV": 1, "μV": 1, "mcV": 1, "uv": 1, "㎶": 1, "ｕＶ": 1, "мкВ": 1, "microvolts": 1,
    "Microvolt": 1, "Mikrovolt": 1, "microvoltios": 1, "mikrowolt": 1, "マイクロボルト": 1,
    "마이크로볼트": 1, "微伏": 1, "микровольт": 1, "μικροβόλτ": 1, "mikrovoltti": 1,
    "mV": 1e3, "MV": 1e3, "mv": 1e3, "㎷": 1e3, "мВ": 1e3, "millivolts": 1e3, "Millivolt": 1e3,
    "milivoltios": 1e3, "miliwolty": 1e3, "ミリボルト": 1e3, "밀리볼트": 1e3, "毫伏": 1e3,
    "милливольты": 1e3, "V": 1e6, "volts": 1e6, "В": 1e6,
}  # fmt: skip

SEPARATORS = (",", ";", "\t", "|", " ")
ENCODINGS = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1",
)  # fmt: skip
LINE_ENDS = ("\n", "\r\n", "\r")
NAMES = ("I", "II", "V5", "CH20", "Left arm", "ecg", "导联", "Kanał")

#: Header of a column of times, and the text of a time in seconds.
TIMES = {
    "s": ("time (s)", lambda t: f"{t:.6f}"),
    "ms": ("timestamp [ms]", lambda t: f"{1000 * t:.3f}"),
    "ms in name": ("time_ms", lambda t: f"{1000 * t:.3f}"),
    "us": ("Time (us)", lambda t: f"{1e6 * t:.0f}"),
    "µs": ("Zeit (µs)", lambda t: f"{1e6 * t:.0f}"),
    "ns": ("sensor timestamp [ns]", lambda t: f"{599_636_646_177_000_000 + round(1e9 * t)}"),
    "no unit": ("timestamp", lambda t: f"{1000 * t:.3f}"),
    "unix": ("Unix time", lambda t: f"{1_714_557_600_000 + 1000 * t:.3f}"),
    "unit alone": ("x (ms)", lambda t: f"{1000 * t:.3f}"),
    "iso": ("timestamp", lambda t: _stamp(t).isoformat()),
    "iso, zone": ("Date", lambda t: _stamp(t).isoformat() + "+02:00"),
    "iso, blank": ("Zeitpunkt", lambda t: str(_stamp(t))),
    "day first": ("日時", lambda t: _stamp(t).strftime("%d.%m.%Y %H:%M:%S.%f")),
    "month first": ("date/time", lambda t: _stamp(t).strftime("%m/%d/%Y %I:%M:%S.%f %p")),
    "clock": ("clock", lambda t: f"{_stamp(t).time()}"),
    "rdsamp": ("Elapsed time", lambda t: f"{int(t // 60)}:{t % 60:06.3f}"),
    "rdsamp, date": ("Time and date", lambda t: _stamp(t).strftime("[%H:%M:%S.%f %d/%m/%Y]")),
}  # fmt: skip

#: Of these, the times and their names hold no blanks.
SINGLE_WORDS = ("s", "ms", "ms in name", "us", "no unit", "iso", "clock", "comment")


def _stamp(seconds: float) -> datetime.datetime:
    # Over midnight, and a second without a fraction is written without one.
    begin = datetime.datetime(2024, 5, 1, 23, 59, 58)
    return begin + datetime.timedelta(microseconds=round(1e6 * seconds))


@dataclass(frozen=True)
class TextForm:
    """A form of a table; every part of it can be drawn alone."""

    separator: str = ","
    decimal: str = "."
    quote: str = ""
    encoding: str = "utf-8"
    line_end: str = "\n"
    time: str = "s"
    unit: str = "uV"
    unit_in: str = "brackets"
    names: tuple[str, ...] = ("I",)
    preamble: tuple[str, ...] = field(default=())
    trailing: bool = False
    rate: int = 500

    @property
    def is_ambiguous(self) -> bool:
        """Whether a comma between fields cannot be told from one within a number."""
        return self.separator == self.decimal and not self.quote

    def write(self, microvolts: npt.NDArray[np.float64]) -> bytes:
        """The file of channels in microvolts, (channels, samples)."""
        scaled = microvolts / UNITS[self.unit]
        places = {1: 1, 1e3: 4, 1e6: 7}[UNITS[self.unit]]
        columns = [[self._number(f"{value:.{places}f}") for value in row] for row in scaled]
        headers, units = [*self.names], [self.unit] * len(self.names)
        pattern = {"brackets": "{} ({})", "square": "{} [{}]", "tight": "{}({})"}
        if self.unit_in in pattern:
            headers = [pattern[self.unit_in].format(name, self.unit) for name in self.names]
        if self.time != "comment":
            header, text = TIMES[self.time]
            headers.insert(0, header)
            units.insert(0, "s" if self.time == "s" else "")
            times = [text(k / self.rate) for k in range(microvolts.shape[1])]
            is_number = times[0].replace(".", "").isdecimal()
            columns.insert(0, [self._number(t) if is_number else self._quoted(t) for t in times])
        lines = [*self.preamble]
        lines += [f"# Sampling rate: {self.rate} Hz"] if self.time == "comment" else []
        lines.append(self._row([self._quoted(header) for header in headers]))
        lines += [self._row([self._quoted(u) for u in units])] if self.unit_in == "line" else []
        lines += [self._row(row) for row in zip(*columns, strict=True)]
        text = self.line_end.join([*lines, ""])
        marked = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(self.encoding, "")
        return (marked + text).encode(self.encoding)

    def _row(self, fields: list[str] | tuple[str, ...]) -> str:
        return self.separator.join(fields) + (self.separator if self.trailing else "")

    def _number(self, text: str) -> str:
        return self._quoted(text.replace(".", self.decimal))

    def _quoted(self, text: str) -> str:
        return f"{self.quote}{text}{self.quote}"


@st.composite
def text_forms(draw: st.DrawFn) -> TextForm:
    """Any form of a table that says how it is to be read."""
    form = TextForm(
        separator=draw(st.sampled_from(SEPARATORS)),
        decimal=draw(st.sampled_from(".,")),
        quote=draw(st.sampled_from(["", '"', "'"])),
        encoding=draw(st.sampled_from(ENCODINGS)),
        line_end=draw(st.sampled_from(LINE_ENDS)),
        time=draw(st.sampled_from([*TIMES, "comment"])),
        unit=draw(st.sampled_from(sorted(UNITS))),
        unit_in=draw(st.sampled_from(["brackets", "square", "tight", "line"])),
        names=tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))),
        preamble=tuple(
            draw(
                st.lists(
                    st.sampled_from(
                        ["Device: X", "", "# made 2024-01-01", "Name,Max III", "# Notch: 50 Hz"]
                    ),
                    max_size=3,
                )
            )
        ),
        trailing=draw(st.booleans()),
        rate=draw(st.sampled_from([125, 250, 360, 500, 1000])),
    )
    assume(form.time != "comment" or len(form.names) > 1)
    # Blanks within a time of day or a name are no separators.
    assume(form.separator != " " or form.time in SINGLE_WORDS)
    assume(form.separator != " " or not (form.quote or form.trailing or "Left arm" in form.names))
    assume(form.separator != " " or form.unit_in != "line" or form.time in ("s", "comment"))
    # A tick of the clock that is written must not be longer than that of the rate.
    assume(form.time != "rdsamp" or form.rate in (125, 250, 500, 1000))
    try:
        form.write(np.zeros((len(form.names), 1)))
    except UnicodeEncodeError:
        assume(False)
    return form
