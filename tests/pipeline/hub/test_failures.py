"""What fails on the way to the Hub: what may pass is tried again, and every message is true of what has happened."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.hub.plan import HubError, check_tag_name
from pipeline.workspace.paths import Workspace
from tests.pipeline.hub.conftest import REPO, change, push
from tests.pipeline.hub.server import SIGNATURE, WRITE, Fault, Hub
from tests.pipeline.hub.test_publish import refusal, run

# huggingface_hub 2.4 itself uploads in a way that its HTTP library calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Streams = pytest.CaptureFixture[str]
EVERY_CALL = {
    "create": "^POST /api/repos/create",
    "refs": "^GET .*/refs",
    "tree": "^GET .*/tree/",
    "preupload": "^POST .*/preupload/",
    "batch": "^POST .*/batch",
    "upload": "^PUT /storage",
    "commit": "^POST .*/commit/",
    "tag": "^POST .*/tag/",
    "visibility": "^PUT .*/settings",
}
TAGS = st.text("v1.-_/@{}~^:?*[\\ \n\té", min_size=1, max_size=8) | st.sampled_from(["v1.0.lock", "v1.0", "v1-rc.1"])
FULL = ("--tag", "v1", "--public")


def is_whole(hub: Hub) -> bool:
    """Say whether one push has been carried out, once, to its end."""
    repo = hub.store.repos[f"datasets/{REPO}"]
    return len(repo.messages) == 2 and repo.tags == {"v1": repo.main} and not repo.private


@pytest.mark.parametrize(
    "fault",
    [
        lambda call: Fault(call, act=lambda: 429, times=2),
        lambda call: Fault(call, act=lambda: 503, times=2),
        lambda call: Fault(call, drop=True, times=2),
        lambda call: Fault(call, after=True),
    ],
    ids=["429", "503", "reset", "answer lost"],
)
@pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)
def test_every_call_is_tried_again(work: Workspace, hub: Hub, call: str, fault: Callable[[str], Fault]) -> None:
    hub.faults.append(fault(call))
    assert push(work, *FULL) == 0
    assert is_whole(hub)
    is_made = hub.faults[0].after and call == EVERY_CALL["commit"]  # it is looked for, and not asked for again
    assert len(hub.asked(call)) >= 2 - is_made


@pytest.mark.parametrize(
    "headers",
    [
        lambda: {"Retry-After": "1"},
        lambda: {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)},
        lambda: {"RateLimit": '"api";r=0;t=1'},
    ],
    ids=["seconds", "date", "rate limit"],
)
def test_the_hub_says_how_long_to_wait(work: Workspace, hub: Hub, headers: Callable[[], dict[str, str]]) -> None:
    asked: list[float] = []

    def refuse() -> int:
        asked.append(time.monotonic())
        fault.headers = headers()
        return 429

    def allow() -> None:
        asked.append(time.monotonic())

    fault = Fault("^POST .*/tag/", act=refuse)
    hub.faults += [fault, Fault("^POST .*/tag/", act=allow)]
    assert push(work, *FULL) == 0
    assert 0.9 < asked[1] - asked[0] < 30


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_wait_that_is_too_long_is_left_to_the_user(work: Workspace, hub: Hub, capsys: Streams, status: int) -> None:
    hub.faults.append(Fault("^POST .*/tag/", act=lambda: status, headers={"Retry-After": "3600"}, times=9))
    said = refusal(work, capsys, "--push", "--create", *FULL)
    assert "asks to wait 3600 seconds" in said
    assert f"commit {hub.store.repos[f'datasets/{REPO}'].main} is made" in said
    assert len(hub.asked("/tag/")) == 1


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (call, status)
        for call in ("refs", "preupload", "upload", "commit", "tag", "visibility")
        for status in (401, 403, 404, 422, 500)
        if (call, status) != ("refs", 401)  # by which the client means that there is no such repository
    ],
)
def test_a_message_says_what_has_happened(work: Workspace, hub: Hub, capsys: Streams, call: str, status: int) -> None:
    hub.faults.append(Fault(EVERY_CALL[call], act=lambda: status, times=10_000, skip=call == "refs"))
    said = refusal(work, capsys, "--push", "--create", *FULL)
    repo = hub.store.repos[f"datasets/{REPO}"]
    assert repo.private
    assert SIGNATURE not in said
    assert WRITE not in said
    if call in ("tag", "visibility"):
        assert repo.main in said
        assert len(repo.messages) == 2
        assert "no file of the repository has changed" not in said
        assert "not sent again" not in said
    else:
        assert repo.main not in said
        assert not repo.tags
    expected = {
        "refs": "the repository is there, without the files",
        "preupload": "no file of the repository has changed",
        "upload": "no file of the repository has changed",
        "commit": "whether the commit was made is not known"
        if status == 500
        else "no file of the repository has changed",
        "tag": "what comes after it is not",
        "visibility": "and tag v1 are there",
    }
    assert expected[call] in said
    assert ("may not write" in said) == (status == 403 and call != "upload")
    hub.faults.clear()
    assert push(work, *FULL) == 0
    assert is_whole(hub)


def test_a_link_for_an_upload_that_expired_is_asked_for_again(work: Workspace, hub: Hub) -> None:
    hub.faults.append(Fault("^PUT /storage", act=lambda: 403, times=2, skip=5))
    assert push(work, *FULL) == 0
    assert is_whole(hub)


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (RuntimeError(f"CAS service error: https://cas.example.org/x?X-Xet-Signature={SIGNATURE} reset"), 5),
        (PermissionError(13, "Permission denied", "clean.npz"), 1),
        (ConnectionResetError("reset"), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_upload_that_fails_in_the_client_is_no_refusal_of_the_hub(
    work: Workspace, hub: Hub, capsys: Streams, monkeypatch: pytest.MonkeyPatch, failure: Exception, attempts: int
) -> None:
    """Xet's failures are RuntimeErrors; the local ones are the system's."""
    asked: list[str] = []
    send = HfApi.preupload_lfs_files

    def fail(*arguments: Any, **options: Any) -> None:
        asked.append("upload")
        raise failure

    monkeypatch.setattr(HfApi, "preupload_lfs_files", fail)
    said = refusal(work, capsys, "--push", "--create", *FULL)
    assert len(asked) == attempts
    what = "cannot reach the Hub" if isinstance(failure, ConnectionError) else "the upload failed"
    assert f"error: {what} ({type(failure).__name__}: " in said
    assert "no file of the repository has changed" in said
    assert SIGNATURE not in said
    monkeypatch.setattr(HfApi, "preupload_lfs_files", lambda *a, **o: send(*a, **o) if len(asked) > 6 else fail())
    if attempts > 1:
        asked.clear()
        asked += ["earlier"] * 5
        assert push(work, *FULL) == 0
        assert is_whole(hub)


def test_the_addresses_of_uploads_stand_on_no_terminal(
    work: Workspace, hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.faults += [Fault("^PUT /storage", act=lambda: 503, times=3), Fault("^PUT /storage", drop=True, times=3)]
    assert push(work, *FULL) == 0
    streams = capfd.readouterr()
    assert SIGNATURE not in streams.out + streams.err


def test_a_file_that_the_server_drops_stops_the_tag(work: Workspace, hub: Hub, capsys: Streams) -> None:
    def drop() -> None:
        repo = hub.store.repos[f"datasets/{REPO}"]
        del repo.tree["pbc/test/clean.npz"]

    hub.faults.append(Fault("^GET .*/tree/", act=drop, skip=1 + len(hub.asked("/tree/"))))
    said = refusal(work, capsys, "--push", "--create", *FULL)
    repo = hub.store.repos[f"datasets/{REPO}"]
    assert "pbc/test/clean.npz" in said
    assert repo.main in said
    assert not repo.tags
    assert repo.private
    assert push(work, *FULL) == 0
    assert repo.tags == {"v1": repo.main}
    assert "pbc/test/clean.npz" in repo.tree


def test_a_file_that_the_client_skips_stops_the_tag(work: Workspace, hub: Hub, capsys: Streams) -> None:
    hub.ignored = "mammo_mass/val/clean.npz"
    said = refusal(work, capsys, "--push", "--create", *FULL)
    assert "1 of its files are not what was pushed (mammo_mass/val/clean.npz)" in said
    assert not hub.store.repos[f"datasets/{REPO}"].tags


def test_of_two_identical_pushes_the_loser_says_that_all_is_there(
    work: Workspace, hub: Hub, tmp_path: Path, capsys: Streams
) -> None:
    assert push(work) == 0
    change(work, "contrast")
    other = Workspace(shutil.copytree(work.root, tmp_path / "other"))
    codes: list[int] = []
    hub.faults.append(Fault("^POST .*/commit/", act=lambda: codes.append(run(other, "--push", "--tag", "v2"))))
    assert run(work, "--push", "--tag", "v2") == 0
    repo = hub.store.repos[f"datasets/{REPO}"]
    assert codes == [0]
    assert len(repo.messages) == 3
    assert repo.tags == {"v2": repo.main}
    assert capsys.readouterr().out.count(f"{REPO} is at {repo.main}, tag v2") == 2


def test_a_new_repository_is_public_only_when_all_is_there(work: Workspace, hub: Hub) -> None:
    private: list[bool] = []

    def note() -> None:
        private.append(hub.store.repos[f"datasets/{REPO}"].private)

    hub.faults += [Fault("/commit/", act=note), Fault("/tag/", act=note), Fault("/settings", act=note)]
    assert push(work, *FULL) == 0
    assert private == [True, True, True]
    assert is_whole(hub)


@pytest.mark.parametrize("name", ["", "v 1", "v1..2", "-v1", "main", "a" * 40, "v1.lock", "v1/", "@", "v\x7f1", ".v"])
def test_a_tag_is_checked_before_anything_else(work: Workspace, hub: Hub, capsys: Streams, name: str) -> None:
    said = refusal(work, capsys, "--push", f"--tag={name}")
    assert "can't be a tag" in said
    assert not hub.requests


@settings(max_examples=60, deadline=None)
@given(
    name=st.text("v1.-_/@{}~^:?*[\\ \n\té", min_size=1, max_size=8)
    | st.from_regex(r"v[0-9]\.[0-9](\.lock)?", fullmatch=True)
)
def test_a_tag_that_passes_is_one_that_git_takes(name: str) -> None:
    taken = subprocess.run(["git", "check-ref-format", f"refs/tags/{name}"], check=False).returncode == 0
    try:
        check_tag_name(name)
    except HubError:
        return
    assert taken
