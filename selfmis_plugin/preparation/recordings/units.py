"""Names of voltages and of times, as recorders and phones write them."""

from __future__ import annotations

import argparse
import re
import unicodedata

from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.utils import arguments

#: Seconds in one unit of time, by the unit's plain name.
TIME_UNITS: dict[str, float] = {"min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

_LONGEST = 40
_ACCENTS = re.compile("[\u0300-\u036f]")

# Words for micro and milli, volt and second, in the languages of phones.
_MICRO = "micro|mikro|микро|мікро|μικρο|マイクロ|마이크로|微"
_MILLI = "milli|mili|милли|мілі|μιλι|χιλιοστο|ミリ|밀리|毫"
_NANO = "nano|нано|νανο|ナノ|나노|纳|納|奈"
_VOLT = r"(?:[vw]ol[tț]|вольт|βολτ|ボルト|볼트|伏)\w{0,4}"
_SECOND = r"(?:se[cgkqv][ou]n|сек|δευτερ|秒|초)\w{0,6}"
_WORDS = [
    (re.compile(f"(?:{prefix}){word}"), unit)
    for word, units in ((rf"[\s-]?{_VOLT}", "uv mv v"), (rf"[\s-]?{_SECOND}", "us ms s"))
    for prefix, unit in zip((_MICRO, _MILLI, ""), units.split(), strict=True)
]
_WORDS.append((re.compile(rf"(?:{_NANO})[\s-]?{_SECOND}"), "ns"))

_ABBREVIATIONS = {
    "mcv": "uv", "мкв": "uv", "мв": "mv", "в": "v",
    "sec": "s", "secs": "s", "с": "s", "sn": "s",
    "msec": "ms", "msecs": "ms", "millis": "ms", "мс": "ms",
    "usec": "us", "usecs": "us", "mcs": "us", "micros": "us", "мкс": "us",
    "nsec": "ns", "nsecs": "ns", "нс": "ns", "minutes": "min",
}  # fmt: skip


def plain_unit(unit: str) -> str:
    """Return a unit's plain name: in lower case, u for micro, ``uv`` for microvolts in any word.

    What is no voltage and no time is returned as it is, but for the case.
    """
    if len(unit) > _LONGEST:
        return unit
    # Two characters are what a micro sign in UTF-8 becomes where it is read as Latin-1, the last
    # one is what is left of it in a file that is not UTF-8.
    for micro in ("Âµ", "Î¼", "\ufffd"):
        unit = unit.replace(micro, "u")
    # Compatibility forms: the sign's own code becomes the Greek letter, one wide sign two letters.
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", unit.strip()))
    text = unicodedata.normalize("NFC", text).casefold()
    text = text.replace("μv", "uv").replace("μs", "us").rstrip(".")
    for word, name in _WORDS:
        if word.fullmatch(text):
            return name
    return _ABBREVIATIONS.get(text, text)


def told_microvolts(text: str) -> float:
    """Read what a command line says of a unit: its name, or the microvolts in one step."""
    known = MICROVOLTS.get(plain_unit(text))
    if known is not None:
        return known
    try:
        return arguments.positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {', '.join(MICROVOLTS)} and no number of microvolts"
        ) from None
