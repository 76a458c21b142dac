"""What people read first is short, and leads somewhere; ``make docs`` checks the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfmis_plugin.training.known_configs import known_configs

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 220


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    # Pages that the build makes are checked by it.
    files = {link.partition("#")[0] for link in links if not link.startswith(("#", "generated/"))}
    assert [link for link in sorted(files) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_configs_that_commands_name_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?:--config-name|selfmis train) ([a-z][\w/]+)", text)
    assert set(named) <= known_configs().keys()
