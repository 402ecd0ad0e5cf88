"""A pinned revision is loaded, or nothing is: also where plain `datasets` gives another one without an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from corruptions import CORRUPTIONS, SEVERITIES
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub import tiny
from tests.pipeline.hub.conftest import REPO, change, environment, push, taken_for_real

# huggingface_hub 2.4 itself uploads in a way that its HTTP library calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PROJECT = Path(__file__).parents[3]

ONLINE = """
from pipeline.hub.load import load_pinned
rows = load_pinned({repo!r}, "pbc-contrast", split="test", revision="v1.0.0")
again = load_pinned({repo!r}, "pbc-contrast", split="test", revision={first!r})
stream = load_pinned({repo!r}, "pbc-contrast", split="test", revision="v1.1.0", streaming=True)
said = [len(rows), len(again), len(list(stream))]
for streaming in (False, True):
    severe = load_pinned(
        {repo!r}, "pbc", split="test", revision="v1.0.0", filters=[("severity", "==", 5)], streaming=streaming
    )
    said.append([[row["corruption"], row["severity"], row["index"]] for row in severe])
try:
    load_pinned({repo!r}, "pbc-contrast", split="test", revision="v1.1.0", commit={first!r})
except ValueError as wrong:
    said.append(str(wrong))
try:
    load_pinned({repo!r}, "pbc-contrast", split="test", revision="v9")
except ValueError as wrong:
    said.append(str(wrong))
"""

OFFLINE = """
from datasets import load_dataset
from pipeline.hub.load import load_pinned
quiet = load_dataset({repo!r}, "pbc-contrast", split="test", revision="v1.1.0")
said = [quiet.cache_files[0]["filename"].split("/")[-2]]
for options in (dict(revision="v1.1.0"), dict(revision="v1.1.0", commit={second!r}), dict(revision={second!r})):
    try:
        load_pinned({repo!r}, "pbc-contrast", split="test", **options)
        said.append("loaded")
    except ValueError as wrong:
        said.append(str(wrong))
said.append(len(load_pinned({repo!r}, "pbc-contrast", split="test", revision="v1.0.0", commit={first!r})))
"""


def run(code: str, env: dict[str, str], home: Path) -> list[object]:
    prelude = "import json\nfrom datasets import disable_progress_bars\ndisable_progress_bars()\n"
    prelude += "import types\nfrom huggingface_hub.utils import _http\n"
    prelude += "_http.time = types.SimpleNamespace(sleep=lambda seconds: None)  # between its attempts\n"
    command = [sys.executable, "-c", f"{prelude}{code}\nprint(json.dumps(said))"]
    env = {**env, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said: list[object] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_a_pinned_revision_is_loaded_or_nothing_is(work: Workspace, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with taken_for_real(tmp_path) as hub:
        assert push(work, "--tag", "v1.0.0") == 0
        first = hub.store.repos[f"datasets/{REPO}"].main
        change(work, "contrast")
        assert push(work, "--tag", "v1.1.0") == 0
        second = hub.store.repos[f"datasets/{REPO}"].main
        env = environment(home, hub)
        filled = {"repo": REPO, "first": first, "second": second}
        # v1.1.0 is streamed alone, so that the cache of prepared data sets has v1.0.0 and nothing else
        *lengths, filtered, streamed, moved, unknown = run(ONLINE.format(**filled), env, home)
    rows = tiny.COUNTS["test"] * len(SEVERITIES)
    assert lengths == [rows] * 3
    assert filtered == streamed == [[c, 5, index] for c in sorted(CORRUPTIONS) for index in range(tiny.COUNTS["test"])]
    assert first in str(moved)
    assert second in str(moved)
    assert "v9" in str(unknown)
    assert "v1.1.0" in str(unknown)
    quiet, unproven, *others, length = run(OFFLINE.format(**filled), env, home)
    assert quiet == first  # what plain `datasets` gives for v1.1.0, with no error
    assert "cannot ask the Hub" in str(unproven)
    assert len(others) == 2
    for said in others:
        assert f"what would be loaded is of {first}" in str(said)
    assert length == rows
