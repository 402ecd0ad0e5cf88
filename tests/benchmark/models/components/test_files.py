from __future__ import annotations

import huggingface_hub.constants
import pytest

from benchmark.models import ModelFile, records
from benchmark.models.components.files import Files
from pipeline.errors import UserError
from pipeline.io.checksums import file_checksum

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def one(**changes):
    """A record of one file of a hub that is never reached."""
    file = ModelFile(name="w.bin", repo="owner/name", revision=COMMIT, **changes)
    return records()["clip"].changed(name="one", files=(file,))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the Hub, and a Hub at an address where nothing listens."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    here = "http://127.0.0.1:9"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", here)
    address = here + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between its tries
    return tmp_path / "cache"


def test_a_local_file_is_found_and_its_checksum_tested(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"weights")
    digest = file_checksum(tmp_path / "w.bin")
    assert Files(one(sha256=digest), folder=tmp_path).path("w.bin") == tmp_path / "w.bin"
    with pytest.raises(UserError, match=f"is not the published w.bin: its SHA-256 is {digest}, not {'0' * 64}"):
        Files(one(sha256="0" * 64), folder=tmp_path).path("w.bin")


def test_a_missing_local_file_says_where_it_comes_from(tmp_path):
    with pytest.raises(UserError, match=rf"needs .*w\.bin, which is not there; it comes from owner/name@{COMMIT}"):
        Files(one(), folder=tmp_path).path("w.bin")


def test_a_file_that_is_on_no_hub_says_where_it_is():
    with pytest.raises(
        UserError,
        match=r"medclip has its pytorch_model.bin not on the Hub, or at no pinned commit: get it from https://.*zip",
    ):
        Files(records()["medclip"]).weights()


@pytest.mark.parametrize("offline", [True, False])
def test_no_network_is_one_sentence(cache, offline, capfd):
    with pytest.raises(
        UserError, match=r"one needs w.bin of owner/name@.*neither in the Hub's cache nor to be had"
    ) as caught:
        Files(one(), offline=offline).path("w.bin")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("gated", ["", "accept the terms on their page"])
def test_a_gated_file_says_what_to_accept(monkeypatch, gated):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def download(repo, name, **how):
        raise GatedRepoError.__new__(GatedRepoError)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(
        UserError, match=gated or r"accept the terms on huggingface\.co/owner/name, then log in"
    ) as told:
        Files(one().changed(gated=gated)).path("w.bin")
    assert "\n" not in str(told.value)


SECRET = "pass-w0rd"


@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTP_PROXY"])
@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        *((f"socks{kind}://user:{SECRET}@127.0.0.1:9", r"SOCKS proxy.*needs socksio") for kind in ("5", "5h")),
        ("socks4://127.0.0.1:9", "no address of a proxy"),
        *((proxy, "no address of a proxy") for proxy in ("foo://", f"foo://u:{SECRET}@h", "://", "http://[::", "a\tb")),
        *((f"http://u:{SECRET}@127.0.0.1:{port}", "no address of a proxy") for port in ("x", "1:1")),
        *((proxy, "LocalEntryNotFound") for proxy in ("not a proxy", f"http://u:{SECRET}@127.0.0.1:9", "http://", "[")),
    ],
)
def test_any_proxy_ends_in_a_sentence(cache, monkeypatch, capfd, variable, proxy, says):
    import huggingface_hub

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, proxy)
    huggingface_hub.close_session()  # the client remembers the proxies that it was made with
    try:
        for ask in (Files(one()).path, Files(one()).optional):
            with pytest.raises(UserError, match=rf"one needs w\.bin of owner/name@.*{says}") as caught:
                ask("w.bin")
            assert str(caught.value).isprintable()
            assert SECRET not in str(caught.value)
    finally:
        huggingface_hub.close_session()
    assert capfd.readouterr() == ("", "")


def test_a_cached_file_needs_no_network(cache):
    snapshot = cache / "models--owner--name" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "w.bin").write_bytes(b"weights")
    for offline in (True, False):
        assert Files(one(), offline=offline).path("w.bin").read_bytes() == b"weights"


def test_an_older_repositorys_file_is_taken_where_the_newer_is_not(tmp_path, cache, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import RemoteEntryNotFoundError

    record = one(older_name="w.old")
    (tmp_path / "w.old").write_bytes(b"older")
    assert Files(record, folder=tmp_path).path("w.bin").name == "w.old"
    (tmp_path / "w.bin").write_bytes(b"newer")
    assert Files(record, folder=tmp_path).path("w.bin").name == "w.bin"
    asked = []

    def download(repo, name, *, revision, local_files_only):
        asked.append((name, local_files_only))
        if local_files_only:
            raise FileNotFoundError(name)
        if name == "w.bin":
            raise RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError)
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert Files(record).path("w.bin") == tmp_path / "w.old"
    assert asked == [("w.bin", True), ("w.old", True), ("w.bin", False), ("w.old", False)]
    asked.clear()
    with pytest.raises(UserError, match=r"needs w\.bin of owner/name"):
        Files(record, offline=True).path("w.bin")
    assert all(cached for _, cached in asked)


def test_the_files_that_were_read_have_their_own_names_and_checksums(tmp_path):
    record = one(older_name="w.old")
    (tmp_path / "w.old").write_bytes(b"older")
    files = Files(record.changed(files=(*record.files, ModelFile(name="unread"))), folder=tmp_path)
    assert files.as_read() == files.record.files
    files.path("w.bin")
    known = {"repo": "owner/name", "revision": COMMIT}
    assert files.as_read() == (
        ModelFile(name="w.old", sha256=file_checksum(tmp_path / "w.old"), **known),
        ModelFile(name="unread"),
    )
    (tmp_path / "w.bin").write_bytes(b"newer")
    files.path("w.bin")
    assert files.as_read()[0] == ModelFile(name="w.bin", sha256=file_checksum(tmp_path / "w.bin"), **known)
