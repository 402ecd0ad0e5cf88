"""What `dvc metrics diff` and `dvc plots diff` say of a change in the scores, by the project's own dvc.yaml."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmark import score
from corruptions import CORRUPTIONS, SEVERITIES
from pipeline.workspace.paths import Workspace

from .conftest import write_logits

PROJECT = Path(__file__).parents[2] / "dvc.yaml"
ALL_AT_ONCE = "import json, sys; from dvc.cli import main; sys.exit(any(main(a) for a in json.loads(sys.argv[1])))"
"""Several dvc commands in one process: importing dvc takes most of the time of each."""


def run(*command, cwd):
    made = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def dvc(root, *commands):
    return run(sys.executable, "-c", ALL_AT_ONCE, json.dumps(commands), cwd=root)


@pytest.fixture
def changed(workspace):
    """A repository where the better model had 6 of 40 wrong under pixelate, as the others, and now has 12."""
    known = yaml.safe_load(PROJECT.read_text())
    stage = {key: known["stages"]["score"][key] for key in ("outs", "metrics", "plots")}
    (workspace / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {"score": {"cmd": "true", **stage}}, "plots": known["plots"][-1:]})
    )
    (workspace / ".dvc").mkdir()
    (workspace / ".dvc" / "config").write_text("[core]\nanalytics = false\ncheck_update = false\n")
    assert score.main(["--root", str(workspace)]) == 0
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    run(*git, "init", "-q", cwd=workspace)
    dvc(workspace, ["commit", "--force"])
    run(*git, "add", "dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config", "reports/metrics.json", cwd=workspace)
    run(*git, "commit", "-q", "-m", "before", cwd=workspace)
    for severity in range(1, 6):
        for name in ("oct", "mammo_mass"):
            write_logits(Workspace(workspace), "better", name, f"pixelate_severity_{severity}", 12)
    assert score.main(["--root", str(workspace)]) == 0
    return workspace


def test_diffs_show_what_changed(changed):
    said = dvc(changed, ["metrics", "diff", "--json"], ["plots", "diff", "--json", "--out", "plots"])
    metrics, plots = (json.loads(line) for line in said.splitlines() if line)
    moved = metrics["reports/metrics.json"]
    assert {name.partition(".")[0] for name in moved} == {"better"}
    assert "better.clean_error" not in moved
    assert moved["better.mce"]["old"] == pytest.approx(75)
    assert moved["better.mce"]["new"] == pytest.approx((6 * 75 + 150) / 7)
    assert set(plots["data"]) == {"Error by severity", "reports/plots/mce.csv"}, "each file is plotted once"
    curves, bars = (
        {
            (point["rev"], point.get("field", point.get("model")), point[x]): float(point[y])
            for point in plots["data"][name][0]["content"]["data"]["values"]
        }
        for name, x, y in (
            ("Error by severity", "severity", "dvc_inferred_y_value"),
            ("reports/plots/mce.csv", "corruption", "ce"),
        )
    )
    assert len(curves) == 2 * 2 * (1 + len(SEVERITIES))
    assert len(bars) == 2 * 2 * len(CORRUPTIONS)
    for found, at, before, after in ((curves, "3", 15, (6 * 15 + 30) / 7), (bars, "pixelate", 75, 150)):
        assert found["HEAD", "better", at] == pytest.approx(before, abs=1e-4)
        assert found["workspace", "better", at] == pytest.approx(after, abs=1e-4)
