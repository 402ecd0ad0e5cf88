"""Run the tests on the oldest versions that setup.cfg allows, and with the pinned ones on each Python that is there.

    python -m tests.matrix --pythons python3.11 python3.12

One environment at a time is made, used and, unless a test failed, removed again: with torch built for CUDA, which is
what pip takes where no index offers a build for the CPU, each downloads 3 GB and fills 7. What ran is left in
build/matrix.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

from tests.matrix.requirements import REPOSITORY, TOOLS, canonical, name_and_bound, oldest, requirements

FOLDER = REPOSITORY / "build" / "matrix"
OLDEST = "oldest"
# The type checker judges the code as the pinned versions see it; what the oldest require in turn has no pin.
NOT_ON_OLDEST = [
    "--deselect=tests/test_quality.py::test_the_tree_is_clean",
    "--deselect=tests/test_quality.py::test_what_is_required_in_turn_is_pinned",
]


@dataclasses.dataclass
class Outcome:
    """What an environment's tests came to."""

    name: str
    problem: str = ""
    ended_well: bool = False
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    python: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        if self.problem:
            return f"{self.name}: error: {self.problem}, see above"
        asked = [name_and_bound(line)[0] for extra, own in requirements().items() if extra != TOOLS for line in own]
        versions = ", ".join(f"{name} {self.versions[name]}" for name in dict.fromkeys(asked) if name in self.versions)
        return (
            f"{self.name}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped "
            f"on Python {self.python} with {versions}"
        )


def main(argv: list[str] | None = None) -> int:
    """Run every environment; return 1 if one could not be made, a test failed or no Python was there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--pythons", nargs="+", required=True, help="interpreters; the first also runs the oldest versions"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of these alone: oldest, or an interpreter as above")
    args = parser.parse_args(argv)
    jobs = {OLDEST: args.pythons[0]} | {python: python for python in args.pythons}
    wanted = {name: python for name, python in jobs.items() if args.only is None or name in args.only}
    missing = [name for name, python in wanted.items() if not _is_there(python)]
    outcomes = [_run(name, python) for name, python in wanted.items() if name not in missing]
    print()
    for outcome in outcomes:
        print(outcome)
    for name in missing:
        print(f"{name}: NOT RUN, there is no {wanted[name]} on PATH")
    return int(not outcomes or not all(outcome.ended_well for outcome in outcomes))


def _is_there(python: str) -> bool:
    # A version manager's stand-in is found on PATH also where it has nothing to start.
    return shutil.which(python) is not None and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def _run(name: str, python: str) -> Outcome:
    print(f"{name}: installing", flush=True)
    root = FOLDER / name.strip("/").replace("/", "-")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    constraints = REPOSITORY / "constraints.txt"
    if name == OLDEST:
        constraints = root / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in oldest().items()), encoding="utf-8")
    if subprocess.run([python, "-m", "venv", str(root / "venv")]).returncode != 0:
        return Outcome(name, "no environment could be made")
    programs = root / "venv" / "bin"
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    own = str(programs / "python")

    install = [own, "-m", "pip", "install", "-qq", "-c", str(constraints), "-e", ".[test]"]
    if subprocess.run(install, cwd=REPOSITORY, env=environment).returncode != 0:
        return Outcome(name, "could not be installed")
    report = root / "tests.xml"
    test = [own, "-m", "pytest", "-n", "auto", f"--junitxml={report}"]
    code = subprocess.run(
        [*test, *(NOT_ON_OLDEST if name == OLDEST else [])], cwd=REPOSITORY, env=environment
    ).returncode
    if not report.is_file():
        return Outcome(name, f"the tests ended with code {code} and without a report")

    suite = next(ET.parse(report).iter("testsuite")).attrib
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    listed = json.loads(_said(own, "-m", "pip", "list", "--format", "json"))
    outcome = Outcome(
        name,
        ended_well=code == 0,
        passed=int(suite["tests"]) - failed - skipped,
        failed=failed,
        skipped=skipped,
        python=_said(own, "-V").split()[1],
        versions={canonical(one["name"]): one["version"] for one in listed},
    )
    root.with_name(f"{root.name}.json").write_text(
        json.dumps(dataclasses.asdict(outcome), indent=1) + "\n", encoding="utf-8"
    )
    if outcome.ended_well:
        shutil.rmtree(root)
    return outcome


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
