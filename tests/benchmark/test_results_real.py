"""``make results-real``: each command finds what the ones before it have made."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commands(*arguments: str) -> list[str]:
    told = subprocess.run(
        ["make", "-n", "results-real", "DATA=ptbxl", *arguments],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.replace("\\\n", " ")  # fmt: skip
    return told.splitlines()


def test_who_is_who_is_asked_of_encoders_that_a_command_before_has_trained() -> None:
    lines = commands("ECGID=ecgid")
    (asked,) = (k for k, line in enumerate(lines) if "benchmark identification" in line)
    wanted = set(
        re.findall(r"(\S+)/fold1/seed\$seed/stages/(\w+)/", lines[asked].replace('"', " "))
    )
    assert {stage for _, stage in wanted} == {"modally_reduced", "selfmis", "single_lead_encoder"}
    for place in {place.rpartition("=")[2] for place, _ in wanted}:
        (made,) = (line for line in lines[:asked] if f"--dest {place}" in line)
        # A cell that is taken up brings no checkpoint.
        assert "--keep" not in made and "--seeds 3" in made
    into = re.search(r"cp \S+ (\S+)/seed\$seed\.csv", lines[asked])
    assert into is not None and (ROOT / into[1] / "seed1.csv").is_file()


def test_rows_are_compared_with_one_that_is_there() -> None:
    for methods, there in (("selfmis,without_alignment", True), ("selfmis,twelve_lead", False)):
        judged = [line for line in commands(f"METHODS={methods}") if "--seeds 3" in line]
        assert len(judged) == 2
        assert all(("--against without_alignment" in line) == there for line in judged)
