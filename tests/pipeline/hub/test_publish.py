"""Publishing, spoken to a stand-in Hub by the real client."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from corruptions import SEVERITIES
from pipeline import export, publish
from pipeline.hub.card import adapter_card
from pipeline.workspace.cell import RELEASED, Cell
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub import tiny
from tests.pipeline.hub.conftest import REPO, change, environment
from tests.pipeline.hub.conftest import push as pushed
from tests.pipeline.hub.server import READ, WRITE, Fault, Hub

# huggingface_hub 2.4 itself uploads in a way that its HTTP library calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PROJECT = Path(__file__).parents[3]
Streams = pytest.CaptureFixture[str]


def run(workspace: Workspace, *arguments: str, repo: str = REPO) -> int:
    return publish.main(["--root", str(workspace.root), "--workers", "2", "--repo", repo, *arguments])


def head(workspace: Workspace) -> str:
    """Return the commit of a workspace's manifests."""
    command = ["git", "-C", str(workspace.root), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def refusal(workspace: Workspace, capsys: Streams, *arguments: str, repo: str = REPO) -> str:
    """Publish, expect one sentence and no success; return the sentence."""
    capsys.readouterr()
    assert run(workspace, *arguments, repo=repo) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    assert WRITE not in said
    return said


def test_a_push_holds_the_npz_tree_the_parquet_and_the_card(work: Workspace, hub: Hub) -> None:
    assert pushed(work, "--tag", "v1.0.0") == 0
    repo = hub.store.repos[f"datasets/{REPO}"]
    assert repo.private
    assert repo.tags == {"v1.0.0": repo.main}
    npz = {path.relative_to(work.release).as_posix() for path in work.release.rglob("*.npz")}
    folder = work.root / "data" / "export"
    parquet = {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}
    texts = {".gitattributes", "README.md", "SHA256SUMS", "croissant.json"}
    assert set(repo.tree) == npz | parquet | texts | {path for path in repo.tree if path.startswith("manifests/")}
    some = work.npz(Cell("pbc", "test", "motion_blur", 3))
    assert hub.store.content(repo.tree["pbc/test/motion_blur_severity_3.npz"]) == some.read_bytes()
    card = hub.store.content(repo.tree["README.md"]).decode()
    assert f'load_dataset("{REPO}"' in card
    assert "ORG/" not in card
    assert f"- **Code that made it:** commit `{head(work)}` of a checkout" in card
    assert len(repo.messages) == 2  # the Hub's first commit, and one for everything
    record = json.loads((work.root / "metrics" / "publish.json").read_text())
    assert (record["repo"], record["tag"], record["commit"]) == (REPO, "v1.0.0", repo.main)
    assert record["files"] == len(repo.tree) - 1
    assert len(record["checksums"]) == 64


def test_a_dry_run_changes_nothing_and_says_what_would(work: Workspace, hub: Hub, capsys: Streams) -> None:
    assert run(work) == 0
    said = capsys.readouterr().out
    assert "add     README.md" in said
    assert "bytes to upload" in said
    assert not hub.store.repos
    assert not (work.root / "metrics" / "publish.json").exists()
    assert all(request.startswith("GET ") for request in hub.requests)


def test_an_unchanged_push_does_nothing(work: Workspace, hub: Hub) -> None:
    assert pushed(work, "--tag", "v1.0.0") == 0
    commit = hub.store.repos[f"datasets/{REPO}"].main
    hub.requests.clear()
    assert run(work, "--push", "--tag", "v1.0.0") == 0
    assert hub.store.repos[f"datasets/{REPO}"].main == commit
    assert not hub.asked("^PUT|/commit/|/batch$")


def test_one_changed_corruption_uploads_its_files_alone(work: Workspace, hub: Hub) -> None:
    assert pushed(work, "--tag", "v1.0.0") == 0
    repo = hub.store.repos[f"datasets/{REPO}"]
    before, first = repo.tree, repo.main
    change(work, "contrast")
    hub.requests.clear()
    assert run(work, "--push", "--tag", "v1.1.0") == 0
    changed = {path for path in repo.tree if repo.tree[path] != before[path]}
    cells = len(RELEASED) * len(SEVERITIES)
    assert len([path for path in changed if path.endswith(".npz")]) == cells
    assert len([path for path in changed if path.endswith(".parquet")]) == cells
    assert all("contrast" in path for path in changed if path.endswith((".npz", ".parquet", ".json")))
    assert len(hub.asked("^PUT")) == 2 * cells
    assert repo.tags == {"v1.0.0": first, "v1.1.0": repo.main}


def test_what_is_no_longer_built_is_deleted(work: Workspace, hub: Hub) -> None:
    assert pushed(work) == 0
    params = work.root / "params.yaml"
    params.write_text(params.read_text().replace("- mammo_mass\n", ""))
    for folder in (work.release, work.manifests):
        shutil.rmtree(folder / "mammo_mass")
    assert export.main(["--root", str(work.root)]) == 0
    tiny.verified(work)
    tiny.commit(work.root)
    assert run(work, "--push") == 0
    tree = hub.store.repos[f"datasets/{REPO}"].tree
    assert not [path for path in tree if "mammo_mass" in path]
    assert ".gitattributes" in tree


def test_a_tag_never_moves(work: Workspace, hub: Hub, capsys: Streams) -> None:
    assert pushed(work, "--tag", "v1.0.0") == 0
    repo = hub.store.repos[f"datasets/{REPO}"]
    first = repo.main
    change(work, "contrast")
    assert "a tag never moves" in refusal(work, capsys, "--push", "--tag", "v1.0.0")
    assert (repo.main, repo.tags) == (first, {"v1.0.0": first})


def test_a_tag_that_somebody_sets_meanwhile_is_not_moved(work: Workspace, hub: Hub, capsys: Streams) -> None:
    def set_it() -> None:
        repo = hub.store.repos[f"datasets/{REPO}"]
        repo.tags["v1.0.0"] = next(iter(repo.commits))

    hub.faults.append(Fault("^POST .*/tag/", act=set_it))
    assert "a tag never moves" in refusal(work, capsys, "--push", "--create", "--tag", "v1.0.0")


def test_two_pushes_at_once_leave_one_of_them_whole(work: Workspace, hub: Hub, capsys: Streams) -> None:
    assert pushed(work) == 0
    repo = hub.store.repos[f"datasets/{REPO}"]

    def other_push() -> None:
        repo.commit({**repo.tree, "other.txt": repo.tree[".gitattributes"]}, "Other push")

    change(work, "contrast")
    hub.faults.append(Fault("^POST .*/commit/", act=other_push))
    assert "has changed since this push began" in refusal(work, capsys, "--push", "--tag", "v2")
    assert repo.messages[-1] == "Other push"
    assert not repo.tags
    assert run(work, "--push", "--tag", "v2") == 0
    assert "other.txt" not in repo.tree  # shown by the dry run, then deleted by the second push


@pytest.mark.parametrize(
    "request_line", ["^GET .*/refs", "^POST .*/preupload/", "^POST .*/batch", "^PUT /storage", "^POST .*/commit/"]
)
def test_a_push_survives_passing_failures_of_the_server(work: Workspace, hub: Hub, request_line: str) -> None:
    hub.faults.append(Fault(request_line, act=lambda: 503))
    assert pushed(work) == 0
    assert len(hub.store.repos[f"datasets/{REPO}"].messages) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("request_line", ["^PUT /storage", "^POST .*/commit/"])
def test_a_push_survives_dropped_connections(work: Workspace, hub: Hub, request_line: str, after: bool) -> None:
    hub.faults.append(Fault(request_line, drop=not after, after=after, skip=3 if "PUT" in request_line else 0))
    assert pushed(work, "--tag", "v1") == 0
    repo = hub.store.repos[f"datasets/{REPO}"]
    assert len(repo.messages) == 2
    assert repo.tags == {"v1": repo.main}


def test_a_push_killed_in_the_middle_leaves_the_revision_and_is_finished_by_another(
    work: Workspace, hub: Hub, tmp_path: Path
) -> None:
    assert pushed(work, "--tag", "v1") == 0
    repo = hub.store.repos[f"datasets/{REPO}"]
    first, tree = repo.main, repo.tree
    change(work, "contrast")
    reached, killed = threading.Event(), threading.Event()

    def hold() -> int:
        reached.set()
        killed.wait(60)
        return 500

    sent, others = 6, frozenset(hub.clients)
    hub.faults.append(Fault("^PUT /storage", act=hold, skip=sent, times=1000))
    hub.requests.clear()
    command = [
        sys.executable,
        "-m",
        "pipeline.publish",
        "--root",
        str(work.root),
        "--repo",
        REPO,
        "--push",
        "--tag",
        "v2",
    ]
    env = {**environment(tmp_path, hub), "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
    killed.set()
    hub.wait_until_gone(others)
    hub.faults.clear()
    assert (repo.main, repo.tree, repo.tags) == (first, tree, {"v1": first})
    hub.requests.clear()
    assert run(work, "--push", "--tag", "v2") == 0
    assert len(hub.asked("^PUT")) == 2 * len(RELEASED) * len(SEVERITIES) - sent
    assert repo.tags == {"v1": first, "v2": repo.main}
    assert len(repo.messages) == 3


def test_an_export_that_verify_has_not_passed_is_refused(work: Workspace, hub: Hub, capsys: Streams) -> None:
    metrics = work.root / "metrics" / "verify.json"
    verified = json.loads(metrics.read_text())
    metrics.write_text(json.dumps({**verified, "findings": 2}))
    assert "2 findings" in refusal(work, capsys, "--push")
    metrics.write_text(json.dumps({**verified, "manifests": "0" * 64}))
    assert "not those that verify has passed" in refusal(work, capsys, "--push")
    metrics.unlink()
    assert "only what" in refusal(work, capsys, "--push")
    for broken in ("[]", "{", '{"files": 1}', json.dumps({**verified, "findings": "none"}), "[" * 100_000):
        metrics.write_text(broken)
        assert "only what" in refusal(work, capsys, "--push")
    assert not hub.requests


def test_manifests_that_git_does_not_hold_are_refused(work: Workspace, hub: Hub, capsys: Streams) -> None:
    path = work.manifest("pbc", "contrast")
    path.write_text(path.read_text() + "\n")
    tiny.verified(work)
    assert "pbc/contrast.json" in refusal(work, capsys, "--push")
    shutil.rmtree(work.root / ".git")
    assert "git" in refusal(work, capsys, "--push")
    assert not hub.requests


def test_a_phantom_goes_where_the_name_says_so(work: Workspace, hub: Hub, capsys: Streams) -> None:
    assert "does not say so" in refusal(work, capsys, "--push", "--create", repo="lab/MediMeta-C")
    assert "ORG/NAME" in refusal(work, capsys, repo="MediMeta-C")
    assert not hub.requests
    assert run(work, "--push", "--create", "--force", repo="lab/MediMeta-C") == 0


def test_a_file_that_is_not_as_recorded_is_refused(work: Workspace, hub: Hub, capsys: Streams) -> None:
    path = next((work.root / "data" / "export" / "data").rglob("contrast*.parquet"))
    original = path.read_bytes()
    path.write_bytes(original[:-1] + b"x")
    assert "is not what metrics/export.json says" in refusal(work, capsys, "--push")
    path.unlink()
    assert "is not there" in refusal(work, capsys, "--push")
    path.write_bytes(original)
    recorded = work.root / "metrics" / "export.json"
    recorded.write_text(re.sub('"build": "....', '"build": "0000', recorded.read_text()))
    tiny.commit(work.root)
    assert "unfinished" in refusal(work, capsys, "--push")


@pytest.mark.parametrize("broken", ["[]", "{", "", '{"files": []}', "[" * 100_000, "\udcff"])
def test_a_record_that_somebody_edited_is_a_sentence(
    work: Workspace, hub: Hub, tmp_path: Path, capsys: Streams, broken: str
) -> None:
    content = broken.encode(errors="surrogateescape")
    (tmp_path / "adapter_config.json").write_bytes(b'{"r": "many"}' if broken == '{"files": []}' else content)
    assert "adapter_config.json" in refusal(work, capsys, "--adapter", str(tmp_path))
    work.export_record.write_bytes(content)
    tiny.commit(work.root)
    assert "export.json" in refusal(work, capsys, "--push")
    assert not hub.requests


def test_what_the_hub_refuses_is_said_in_a_sentence(
    work: Workspace, hub: Hub, capsys: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--create" in refusal(work, capsys, "--push")
    assert pushed(work) == 0
    monkeypatch.setenv("HF_TOKEN", READ)
    capsys.readouterr()
    path = work.root / "data" / "export" / "README.md"
    assert path.exists()
    said = refusal(work, capsys, "--push", "--create", repo="lab/other-phantom")
    assert "may not write" in said
    assert READ not in said
    monkeypatch.setenv("HF_TOKEN", "hf_unknown")
    said = refusal(work, capsys, "--push")
    assert "does not know the token" in said
    assert "hf_unknown" not in said
    monkeypatch.delenv("HF_TOKEN")
    assert "no token" in refusal(work, capsys, "--push")


def test_a_hub_out_of_reach_is_said_in_a_sentence(work: Workspace, hub: Hub, capsys: Streams) -> None:
    hub.shutdown()
    hub.server_close()
    assert "cannot reach the Hub" in refusal(work, capsys, "--push")


def test_the_token_stands_in_no_file(work: Workspace, hub: Hub) -> None:
    assert pushed(work, "--tag", "v1") == 0
    written = [path for path in work.root.rglob("*") if path.is_file()]
    assert not [path for path in written if WRITE.encode() in path.read_bytes()]


def test_public_makes_it_public(work: Workspace, hub: Hub) -> None:
    assert pushed(work) == 0
    assert run(work, "--push", "--public") == 0
    assert not hub.store.repos[f"datasets/{REPO}"].private


def test_an_adapter_goes_the_same_way(work: Workspace, hub: Hub, tmp_path: Path, capsys: Streams) -> None:
    folder = tmp_path / "rmedclip" / "adapter"
    folder.mkdir(parents=True)
    assert "takes a folder that PEFT saved" in refusal(work, capsys, "--adapter", str(folder))
    (folder / "adapter_config.json").write_text(json.dumps({"r": 16, "lora_alpha": 32}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder.parent / "tune.json").write_text("{}")
    assert "README.md" in refusal(work, capsys, "--adapter", str(folder))
    facts = {"rank, alpha": "16, 32", "images it was tuned on": "pbc 3", "epochs": "8"}
    written = adapter_card("rmedclip", base="CLIP", base_model="lab/clip", licence="MIT", facts=facts, synthetic=True)
    (folder / "README.md").write_text(written)
    assert "does not say so" in refusal(work, capsys, "--adapter", str(folder), repo="lab/RMedCLIP")
    name = "lab/RMedCLIP-phantom"
    arguments = ["--push", "--create", "--tag", "v1", "--adapter", str(folder)]
    assert run(work, *arguments, repo=name) == 0
    repo = hub.store.repos[f"models/{name}"]
    files = {".gitattributes", "README.md", "adapter_config.json", "adapter_model.safetensors", "tune.json"}
    assert set(repo.tree) == files
    _, metadata, text = hub.store.content(repo.tree["README.md"]).decode().split("---\n", 2)
    assert "base_model: lab/clip" in metadata
    assert "license: mit" in metadata
    title, first = [line for line in text.splitlines() if line][:2]
    assert title == "# rmedclip: tuned on synthetic images"
    assert "synthetic" in first
    for said in ("| rank, alpha | 16, 32 |", "| images it was tuned on | pbc 3 |", "| epochs | 8 |", f'"{name}"'):
        assert said in text
    commit = repo.main
    assert run(work, *arguments, repo=name) == 0
    assert repo.main == commit
    assert json.loads((work.root / "metrics" / "publish-adapter.json").read_text())["commit"] == commit


def test_an_adapter_that_was_not_tuned_here_is_not_called_synthetic(work: Workspace, hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"r": 4, "lora_alpha": 4, "base_model_name_or_path": "lab/b", "peft_type": "LORA"})
    )
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Model Card\n[More Information Needed]\n")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    assert run(work, "--push", "--create", "--adapter", str(folder), repo="lab/converted") == 0
    tree = hub.store.repos["models/lab/converted"].tree
    card = hub.store.content(tree["README.md"]).decode()
    assert "# converted\n" in card
    assert "base_model: lab/b\n" in card
    assert "license: mit\n" in card
    assert "| rank, alpha | 4, 4 |" in card
    assert "Needed" not in card
    assert "synthetic" not in card
