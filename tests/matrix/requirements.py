"""What setup.cfg asks for and constraints.txt pins."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROJECT = "medimeta-c"
TOOLS = "test"


def canonical(name: str) -> str:
    """Return a distribution's name in the one spelling that PEP 503 gives it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> dict[str, list[str]]:
    """Return what each extra, and "" without any, asks of other projects, as setup.cfg has it."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    listed = {"": settings["options"]["install_requires"], **settings["options.extras_require"]}
    return {
        extra: [line.strip() for line in lines.split("\n") if line and not line.startswith(PROJECT)]
        for extra, lines in listed.items()
    }


def name_and_bound(requirement: str) -> tuple[str, str]:
    """Return a requirement's name and its lower bound, "" where it has none."""
    part = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(?:>=([\w.]+))?", requirement)
    assert part is not None, requirement
    return canonical(part[1]), part[2] or ""


def pins() -> dict[str, str]:
    """Return the version of each distribution that constraints.txt pins."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines)}


def oldest() -> dict[str, str]:
    """Return the oldest version of each requirement, and the pinned one of each tool of the tests."""
    listed = requirements()
    tools = [name_and_bound(line)[0] for line in listed.pop(TOOLS)]
    return {name: pins()[name] for name in tools} | dict(
        name_and_bound(line) for own in listed.values() for line in own
    )
