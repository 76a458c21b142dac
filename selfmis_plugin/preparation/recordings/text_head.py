"""What the lines above the values of a text file say: the rate, a unit, names of channels.

The lines are those of a phone's or a program's language, so what is read are the values beside
their names, wherever these alone tell what they are.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE
from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.preparation.recordings.units import TIME_UNITS, plain_unit

#: Rates that an ECG recorder may have.
LIKELY_RATES = (20.0, 15_000.0)

#: Characters of a line that says one thing.
_LONGEST = 1000

_COMMENT = "#%/; "
_NUMBER = re.compile(r"(?<![\w.])(?<![0-9],)([0-9]{1,6}(?:[.,][0-9]{1,6})?)(?![0-9.,]*[0-9])")
_THOUSANDS = re.compile(r"([0-9]{1,3})[.,]([0-9]{3})")
_HERTZ = re.compile(
    r"\s?(?P<kilo>k|kilo|к|кило|キロ|千)?"
    r"(?:hz\b|her(?:tz|ts|c)\w{0,6}|гц|герц\w{0,3}|ヘルツ|赫|헤르츠|χερτζ|هرتز|הרץ|เฮิรตซ์|हर्ट्ज|"
    r"sps\b|s/s\b|samples? ?/ ?s|samples? per s)"
)
_WORD = re.compile(r"\s?([^\W\d_]+)")
_SAMPLING = re.compile(
    r"sampl|abtast|[ée]chantill|muestre|amostra|campion|bemonster|pr[óo]bkow|vzork|mintav|"
    r"[öo]rnekle|n[äa]ytte|e[șs]antion|дискрет|семпл|采样|採樣|取样|取樣|抽样|サンプ|샘플|표본"
)
_RATE_NAMES = re.compile(
    r"rate|fr[eé]?[qck]|hz|hertz|takt|част|率|频|頻|レート|周波|속도|주파|레이트|taajuus|sebess"
)
_INTERVAL = re.compile(r"interv|period|abstand|step|間隔|间隔|周期|간격|интервал|период")
_SHORT_NAMES = re.compile(r"(?<![^\W_])(?:fs|sfreq|sr)\s?[:=,;\t]")
_IN_BRACKETS = re.compile(r"[(\[]([^()\[\]]{1,20})[)\]]")
# Frequencies of other things, and figures that are no frequencies.
_OTHER = re.compile(
    r"filt|notch|pass|band|cut|mains|netz|brumm|power|line f|artefa|artifa|baseline|musc|heart|"
    r"herz|puls|bpm|филь|滤|濾|フィルタ|필터"
)
_OTHER_WORDS = {
    "bit", "bits", "bpm", "samples", "points", "years", "year", "cm", "kg", "lb", "lbs", "mm",
    "min", "s", "ms", "us", "ns", "h", "uv", "mv", "v", "am", "pm", "percent", "db", "jahre", "ans",
    "años", "anni", "anos", "лет", "歳", "岁", "세",
}  # fmt: skip
_UNIT_NAMES = re.compile(
    r"unit|einheit|unidad|eenheid|jednost|enhe[td]|yksikk|единиц|одиниц|单位|單位|単位|단위|birim|"
    r"mértékegys|μονάδ"
)
_FIELDS = re.compile(r"[,;\t]|:=?(?=\s)|=")
_LABELS = re.compile(r"labels?:=\s*(.*)", re.IGNORECASE)

_LEAD = "|".join(sorted(STANDARD_LEADS, key=len, reverse=True))
# Scripts without spaces put a lead's name behind the word for lead, or before it.
_LATIN = "0-9A-Za-z\u00c0-\u024f"
_LEAD_LAST = re.compile(f"(?<![{_LATIN}])({_LEAD})$", re.IGNORECASE)
_LEAD_FIRST = re.compile(f"({_LEAD})(?![{_LATIN}])", re.IGNORECASE)


@dataclass(frozen=True)
class StatedRates:
    """Rates that lines say, which lines these are, and whether they name the sampling."""

    values: tuple[float, ...]
    lines: tuple[int, ...]
    named: bool = False


def stated_rates(lines: Sequence[str]) -> StatedRates:
    """Return the rates that *lines* say, all of them where they contradict each other.

    Lines that name the sampling go first, then those with a number of hertz; then, of the lines
    before that of the unit, a number with any other word: hertz in yet another language.
    """
    plain = [_plain(line) for line in lines]
    for reader in (_named_rate, _hertz_of, _unknown_word_of(plain)):
        found = {k: rate for k, line in enumerate(plain) if (rate := reader(line)) is not None}
        if found:
            values = tuple(dict.fromkeys(found.values()))
            return StatedRates(values, tuple(found), named=reader is _named_rate)
    return StatedRates((), ())


def stated_unit(lines: Sequence[str], named: bool = True) -> str:
    """Return the voltage that a line says, of a line that names a unit or (not *named*) of any."""
    for line in lines:
        fields = fields_of(line)
        known = bool(fields) and plain_unit(fields[-1]) in MICROVOLTS
        if known and (not named or _UNIT_NAMES.search(_plain(line))):
            return fields[-1]
    return ""


def stated_labels(lines: Sequence[str]) -> list[str]:
    """Return the names of the columns as BioSPPy's text files say them, [] if there are none."""
    for line in lines:
        found = _LABELS.fullmatch(line.lstrip(_COMMENT)) if is_comment(line) else None
        if found:
            return [name.strip() for name in found[1].split("\t")]
    return []


def lead_in(text: str) -> str | None:
    """Return the standard lead that a text in any language ends or begins with."""
    text = unicodedata.normalize("NFKC", text[:_LONGEST]).strip()
    found = _LEAD_LAST.search(text) or _LEAD_FIRST.match(text)
    return standard_lead(found[1]) if found else None


def fields_of(line: str) -> list[str]:
    """The filled fields of a line that names something and says it."""
    fields = _FIELDS.split(line[:_LONGEST].lstrip(_COMMENT))
    return [bare for field in fields if (bare := field.strip().strip('"').strip())]


def is_comment(line: str) -> bool:
    """Whether a line is marked as a comment."""
    return line.startswith(("#", "%", "//"))


@dataclass(frozen=True)
class OpenSignalsHead:
    """What the head of an OpenSignals file says.

    Attributes
    ----------
    columns
        Names of all columns.
    channels
        Those that are signals, not counters or digital inputs.
    rates
        Samples a second of the devices.
    """

    columns: tuple[str, ...]
    channels: frozenset[str]
    rates: tuple[float, ...]


#: Columns of OpenSignals that are no signals: counters, and digital inputs and outputs.
_DIGITAL = re.compile(r"nSeq|DI|DO|[IO][1-9]", re.IGNORECASE)


def open_signals_head(lines: Sequence[str]) -> OpenSignalsHead | None:
    """Read the line of JSON in an OpenSignals file's head, None if there is none.

    The object holds one object for each device, with ``column``, ``label`` and
    ``sampling rate``; the columns of several devices stand side by side.
    """
    for line in lines:
        text = line.lstrip(_COMMENT)
        if not is_comment(line) or not text.startswith("{"):
            continue
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            continue
        devices = [content] if "column" in content else list(content.values())
        columns = [name for device in devices for name in _names(device, "column")]
        labels = [name for device in devices for name in _names(device, "label")]
        rates = [rate for device in devices for rate in _rates(device)]
        if columns or rates:
            signals = {name for name in columns if not _DIGITAL.fullmatch(name)}
            chosen = signals & set(labels) or signals
            return OpenSignalsHead(tuple(columns), frozenset(chosen), tuple(dict.fromkeys(rates)))
    return None


def _names(device: Any, key: str) -> Iterator[str]:
    values = device.get(key) if isinstance(device, dict) else None
    if isinstance(values, list):
        yield from (str(value) for value in values)


def _rates(device: Any) -> Iterator[float]:
    value = device.get("sampling rate") if isinstance(device, dict) else None
    if isinstance(value, int | float) and LOWEST_RATE <= value <= HIGHEST_RATE:
        yield float(value)


def _plain(line: str) -> str:
    if len(line) > _LONGEST or line.lstrip(_COMMENT).startswith("{"):
        return ""
    return unicodedata.normalize("NFKC", line).casefold()


def _rate(number: str, kilo: object = None) -> float | None:
    """A rate as it is written; of "1,000" the mark is that of thousands."""
    value = float(number.replace(",", "."))
    if value < LIKELY_RATES[0] and (thousands := _THOUSANDS.fullmatch(number)):
        value = float(thousands[1] + thousands[2])
    value *= 1000 if kilo else 1
    return value if LOWEST_RATE <= value <= HIGHEST_RATE else None


def _named_rate(line: str) -> float | None:
    """The rate of a line such as ``Sampling Rate (Hz):= 500.00`` or ``fs = 500``."""
    name = _SAMPLING.search(line) or _SHORT_NAMES.search(line)
    number = _NUMBER.search(line, name.end()) if name else None
    if name is None or number is None:
        return None
    between, behind = line[name.start() : number.start()], line[number.end() :]
    if _INTERVAL.search(between):
        return _rate_of_interval(number[1], between, behind)
    if hertz := _HERTZ.match(behind):
        return _rate(number[1], hertz["kilo"])
    word = _WORD.match(behind)
    if word and plain_unit(word[1]) in _OTHER_WORDS:
        return None
    if name.re is _SHORT_NAMES or _RATE_NAMES.search(between):
        return _rate(number[1], "khz" in between)
    return None


def _rate_of_interval(number: str, between: str, behind: str) -> float | None:
    word, bracketed = _WORD.match(behind), _IN_BRACKETS.search(between)
    named = word or bracketed
    unit = TIME_UNITS.get(plain_unit(named[1])) if named else None
    seconds = float(number.replace(",", ".")) * (unit or 0)
    if not seconds or not LOWEST_RATE <= 1 / seconds <= HIGHEST_RATE:
        return None
    return 1 / seconds


def _hertz_of(line: str) -> float | None:
    """The rate of a line with a number of hertz, or with hertz in brackets and a number."""
    if _OTHER.search(line):
        return None
    for number in _NUMBER.finditer(line):
        before, behind = line[: number.start()], line[number.end() :]
        bracketed = _IN_BRACKETS.search(before)
        hertz = _HERTZ.match(behind) or (bracketed and _HERTZ.fullmatch(bracketed[1].strip()))
        if hertz and not before.endswith(("-", "–", "- ", "– ")):
            return _rate(number[1], hertz["kilo"])
    return None


def _unknown_word_of(lines: Sequence[str]) -> Any:
    """Return a reader of the rate in a watch's head whose word for hertz is not known.

    Its line is the last before those of lead and unit whose value is a number and a word.
    """
    unit = next((k for k, line in enumerate(lines) if stated_unit([line], named=False)), None)
    above = [line for line in lines[:unit] if line.strip()][-3:] if unit is not None else []

    def reader(line: str) -> float | None:
        fields = fields_of(line) if line in above else []
        if len(fields) != 2 or _OTHER.search(line):
            return None
        number = _NUMBER.match(fields[1])
        word = _WORD.fullmatch(fields[1], number.end()) if number else None
        if number is None or word is None or plain_unit(word[1]) in _OTHER_WORDS:
            return None
        rate = _rate(number[1])
        return rate if rate and rate >= 100 else None

    return reader
