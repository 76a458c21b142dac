"""``make results-real``: each command finds what the ones before it have made."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def told(target: str, *arguments: str) -> str:
    """Return the commands of a target, without what a make says that another one has started."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    call = ["make", "--no-print-directory", "-n", target, "DATA=ptbxl", *arguments]
    found = subprocess.run(call, cwd=ROOT, env=known, check=True, capture_output=True, text=True)
    return found.stdout


def commands(*arguments: str) -> list[str]:
    return told("results-real", *arguments).replace("\\\n", " ").splitlines()


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


def test_the_notice_of_a_model_that_is_made_again_names_its_weights(tmp_path: Path) -> None:
    said = told("model")
    last = said[said.index(".venv/bin/python -c") :].replace(".venv/bin/python", sys.executable)
    place = "outputs/model/selfmis-lead-I"
    assert last.count(place) == 1
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    subprocess.run(["sh", "-c", last.replace(place, str(tmp_path))], cwd=ROOT, check=True)
    before = (ROOT / "selfmis_plugin/predict/shipped/selfmis-lead-I/NOTICE").read_text()
    digest = hashlib.sha256(b"other weights").hexdigest()
    assert (tmp_path / "NOTICE").read_text() == re.sub("[0-9a-f]{64}", digest, before)
    assert digest in (tmp_path / "NOTICE").read_text()


def test_rows_are_compared_with_one_that_is_there() -> None:
    for methods, there in (("selfmis,without_alignment", True), ("selfmis,twelve_lead", False)):
        judged = [line for line in commands(f"METHODS={methods}") if "--seeds 3" in line]
        assert len(judged) == 2
        assert all(("--against without_alignment" in line) == there for line in judged)
