"""The routes of the stand-in Hub: what huggingface_hub 2.4 and datasets 5.2 ask, and what they read in the answers."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from tests.pipeline.hub.server import SIGNATURE, WRITE, Handler, Refusal, route
from tests.pipeline.hub.store import LARGE, Blob

PAGE = 100  # entries of one page of a tree: a tenth of the Hub's, so that trees have several
REPO = r"(?P<kind>dataset|model)s/(?P<name>[^/]+/[^/.]+)"


@route("POST", "/api/repos/create")
def create(request: Handler, match: re.Match[str]) -> None:
    asked = request.json()
    kind, name = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
    if request.token != WRITE:
        raise Refusal(403 if request.token else 401, "You don't have the rights to create a repository here")
    if f"{kind}s/{name}" in request.server.store.repos:
        raise Refusal(409, "You already created this repo")
    request.server.store.create(kind, name, private=asked.get("visibility", "public") != "public")
    request.answer_json({"url": f"{request.server.url}/{'datasets/' if kind == 'dataset' else ''}{name}"})


@route("PUT", f"/api/{REPO}/settings")
def settings(request: Handler, match: re.Match[str]) -> None:
    asked = request.json()
    request.repo(match, write=True).private = asked.get("visibility") == "private" or asked.get("private", False)
    request.answer_json({})


@route("POST", "/api/validate-yaml")
def validate_yaml(request: Handler, match: re.Match[str]) -> None:
    valid = request.json()["content"].startswith("---\n")
    request.answer_json(
        {"errors": [] if valid else [{"message": "no metadata"}], "warnings": []}, 200 if valid else 400
    )


@route("GET", f"/api/{REPO}(/revision/(?P<revision>[^/]+))?")
def info(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match)
    commit = request.revision(repo, match["revision"] or "main")
    siblings = [{"rfilename": path} for path in sorted(repo.commits[commit])]
    request.answer_json({"id": match["name"], "sha": commit, "private": repo.private, "siblings": siblings, "tags": []})


@route("GET", f"/api/{REPO}/refs")
def refs(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match)
    tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in repo.tags.items()]
    branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.main}]
    request.answer_json({"branches": branches, "converts": [], "tags": tags})


@route("GET", f"/api/{REPO}/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?")
def tree(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match)
    files = repo.commits[request.revision(repo, match["revision"])]
    folder = f"{match['folder']}/" if match["folder"] else ""
    recursive = request.query.get("recursive") in (["true"], ["True"])
    entries: dict[str, Any] = {}
    for path, blob in sorted(files.items()):
        rest = path.removeprefix(folder)
        if not path.startswith(folder):
            continue
        parents = rest.split("/")[:-1]
        for depth in range(1, len(parents) + 1 if recursive else min(len(parents), 1) + 1):
            inner = folder + "/".join(parents[:depth])
            entries[inner] = {"type": "directory", "path": inner, "oid": "0" * 40, "size": 0}
        if recursive or not parents:
            entries[path] = blob.described(path)
    if folder and not entries:
        raise Refusal(404, f"{folder} does not exist", "EntryNotFound")
    start = int(request.query.get("cursor", ["0"])[0])
    page = list(entries.values())[start : start + PAGE]
    headers = {}
    if start + PAGE < len(entries):
        following = f"{urlsplit(request.path).path}?recursive={recursive}&cursor={start + PAGE}"
        headers["Link"] = f'<{request.server.url}{following}>; rel="next"'
    request.answer_json(page, headers=headers)


@route("POST", f"/api/{REPO}/paths-info/(?P<revision>[^/]+)")
def paths_info(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match)
    files = repo.commits[request.revision(repo, match["revision"])]
    found = []
    for path in parse_qs(request.body.decode())["paths"]:
        if path in files:
            found.append(files[path].described(path))
        elif any(known.startswith(f"{path}/") for known in files):
            found.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
    request.answer_json(found)


@route("POST", f"/api/{REPO}/preupload/(?P<revision>[^/]+)")
def preupload(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match, write=True)
    files = repo.commits[request.revision(repo, match["revision"])]
    answers = []
    for asked in request.json()["files"]:
        blob = files.get(asked["path"])
        mode = "lfs" if asked["path"].endswith(LARGE) else "regular"
        ignored = asked["path"] == request.server.ignored
        oid = (blob.sha256 or blob.oid) if blob else None
        answers.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": ignored, "oid": oid})
    request.answer_json({"files": answers})


@route("POST", r"/(?:(?P<kind>dataset)s/)?(?P<name>[^/]+/[^/.]+)\.git/info/lfs/objects/batch")
def lfs_batch(request: Handler, match: re.Match[str]) -> None:
    request.repo(match, write=True)
    answers = []
    for asked in request.json()["objects"]:
        answer: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] not in request.server.store.large:
            storage = f"http://localhost:{request.server.server_port}/storage/{asked['oid']}"
            answer["actions"] = {"upload": {"href": f"{storage}?X-Amz-Signature={SIGNATURE}"}}
        answers.append(answer)
    request.answer_json({"transfer": "basic", "objects": answers})


@route("PUT", "/storage/(?P<oid>[0-9a-f]{64})")
def upload(request: Handler, match: re.Match[str]) -> None:
    request.server.store.large[match["oid"]] = request.body
    request.answer(b"")


@route("POST", f"/api/{REPO}/commit/(?P<revision>[^/]+)")
def commit(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match, write=True)
    header, *lines = (json.loads(line) for line in request.body.splitlines())
    with repo.lock:
        if header["value"].get("parentCommit", repo.main) != repo.main:
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repo.tree)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = Blob.regular(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if len(request.server.store.large.get(value["oid"], b"")) != value["size"]:
                    raise Refusal(400, f"{value['path']} was never uploaded")
                files[value["path"]] = Blob.large(value["oid"], value["size"])
            else:
                assert line["key"] == "deletedFile"
                del files[value["path"]]
        made = repo.commit(files, header["value"]["summary"])
    page = f"{request.server.url}/{'datasets/' if match['kind'] == 'dataset' else ''}{match['name']}/commit/{made}"
    request.answer_json({"success": True, "commitOid": made, "commitUrl": page})


@route("POST", f"/api/{REPO}/tag/(?P<revision>[^/]+)")
def tag(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match, write=True)
    name = request.json()["tag"]
    with repo.lock:
        if name in repo.tags:
            raise Refusal(409, "Tag reference exists already")
        repo.tags[name] = request.revision(repo, match["revision"])
    request.answer_json({})


@route("GET", r"/(?:(?P<kind>dataset)s/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(request: Handler, match: re.Match[str]) -> None:
    repo = request.repo(match)
    commit = request.revision(repo, match["revision"])
    blob = repo.commits[commit].get(match["path"])
    if blob is None:
        request.answer_json(
            {"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
        )
        return
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "ETag": f'"{blob.oid}"'}
    if blob.sha256:
        linked = {"X-Linked-Size": str(blob.size), "X-Linked-ETag": f'"{blob.sha256}"'}
        place = f"http://localhost:{request.server.server_address[1]}/storage/{blob.sha256}?path={quote(match['path'])}"
        request.answer(b"", 302, {**headers, **linked, "Location": place})
        return
    send(request, blob.content, headers)


@route("GET", "/storage/(?P<oid>[0-9a-f]{64})")
def download(request: Handler, match: re.Match[str]) -> None:
    send(request, request.server.store.large[match["oid"]], {"ETag": f'"{match["oid"]}"', "Accept-Ranges": "bytes"})


def send(request: Handler, content: bytes, headers: dict[str, str]) -> None:
    """Answer with a file, or the range of it that was asked for."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if asked is None:
        return request.answer(content, 200, headers)
    first, last = asked[1], asked[2]
    start = int(first) if first else max(0, len(content) - int(last))
    stop = min(int(last) + 1 if first and last else len(content), len(content))
    if start >= stop:
        return request.answer(b"", 416, {"Content-Range": f"bytes */{len(content)}"})
    where = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
    return request.answer(content[start:stop], 206, {**headers, **where})
