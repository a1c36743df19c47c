"""A stand-in for the hub of data sets: its API over HTTP as huggingface_hub asks it, with faults on request.

It keeps commits in memory, large files by their SHA-256, and every byte that it was sent. As a program it prints its
address and serves until it is killed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

TOKEN = "hf_" + "s" * 30
LARGE = 2_000  # bytes; smaller files are sent within the commit
Fault = Callable[[str, str], Response | None]  # (method, path) to an answer in place of the right one


class Hub:
    """What the hub holds, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.repos: dict[str, dict[str, Any]] = {}  # name to private, branches (name to commit)
        self.commits: dict[str, dict[str, str]] = {}  # id to path to digest
        self.blobs: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.sent: list[bytes] = []  # bodies
        self.fault: Fault = lambda _method, _path: None
        self.warnings: list[str] = []

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        """The files at the head of a branch."""
        return {path: self.blobs[d] for path, d in self.commits[self.repos[repo]["branches"][branch]].items()}

    def count(self, method: str, part: str) -> int:
        """Requests of a method whose path holds a part."""
        return sum(m == method and part in path for m, path in self.asked)

    def make(self, repo: str, *, private: bool = False, files: dict[str, bytes] | None = None) -> None:
        """A data set with these files beside .gitattributes."""
        self.repos[repo] = {"private": private, "branches": {}}
        self.commit(repo, "main", {".gitattributes": b"*.parquet filter=lfs\n", **(files or {})}, {})

    def commit(self, repo: str, branch: str, added: dict[str, bytes], tree: dict[str, str]) -> str:
        """A commit of a tree with other files; its id."""
        for path, data in added.items():
            digest = hashlib.sha256(data).hexdigest()
            self.blobs[digest] = data
            tree = {**tree, path: digest}
        name = hashlib.sha1(json.dumps([len(self.commits), tree], sort_keys=True).encode()).hexdigest()
        self.commits[name] = tree
        self.repos[repo]["branches"][branch] = name
        return name


def git_digest(data: bytes) -> str:
    """Git's name of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def refused(status: int, message: str, code: str = "") -> Response:
    """An error as the hub words it."""
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Response(json.dumps({"error": message}), status, headers, mimetype="application/json")


def cut() -> Response:
    """The connection breaks."""
    request.environ["werkzeug.socket"].shutdown(2)
    return Response(status=500)


@contextmanager
def serving(port: int = 0) -> Iterator[Hub]:
    """A hub on this machine."""
    hub = Hub()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", port, _app(hub), threaded=True)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _app(hub: Hub) -> Flask:
    app = Flask("hub")

    @app.before_request
    def first() -> Response | None:
        hub.asked.append((request.method, request.path))
        hub.sent.append(request.get_data())
        if fault := hub.fault(request.method, request.path):
            return fault
        open_to_all = (
            request.method in {"GET", "HEAD"} or request.path.startswith("/lfs/") or "paths-info" in request.path
        )
        if not open_to_all and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return refused(401, "Invalid credentials in Authorization header")
        return None

    _routes_of_repos(app, hub)
    _routes_of_trees(app, hub)
    _routes_before_a_commit(app, hub)
    _routes_of_large_files(app, hub)
    _routes_of_the_commit(app, hub)
    _routes_of_files(app, hub)
    return app


def _routes_of_repos(app: Flask, hub: Hub) -> None:
    @app.post("/api/repos/create")
    def create() -> Response:
        asked = request.get_json()
        repo = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == "foreign":
            return refused(403, "You don't have the rights to create a dataset under this namespace")
        if repo in hub.repos:
            answer = refused(409, "You already created this dataset repo")
            answer.set_data(json.dumps({"url": f"{hub.url}/datasets/{repo}"}))
            return answer
        hub.make(repo, private=asked.get("visibility") == "private")
        return jsonify(url=f"{hub.url}/datasets/{repo}")

    @app.post("/api/datasets/<org>/<name>/branch/<branch>")
    def branch(org: str, name: str, branch: str) -> Response:
        branches = hub.repos[f"{org}/{name}"]["branches"]
        if branch in branches:
            return refused(409, "Reference already exists")
        branches[branch] = branches["main"]
        return Response(status=201)

    @app.get("/api/datasets/<org>/<name>")
    @app.get("/api/datasets/<org>/<name>/revision/<revision>")
    def about(org: str, name: str, revision: str = "main") -> Response:
        repo = f"{org}/{name}"
        found = _tree(hub, repo, revision)
        if found is None:
            return refused(404, "Repository not found", "RepoNotFound")
        commit, tree = found
        siblings = [{"rfilename": path} for path in sorted(tree)]
        return jsonify(id=repo, sha=commit, private=hub.repos[repo]["private"], siblings=siblings, tags=[])


def _routes_of_trees(app: Flask, hub: Hub) -> None:
    @app.get("/api/datasets/<org>/<name>/tree/<revision>", defaults={"below": ""})
    @app.get("/api/datasets/<org>/<name>/tree/<revision>/<path:below>")
    def tree(org: str, name: str, revision: str, below: str) -> Response:
        found = _tree(hub, f"{org}/{name}", revision)
        if found is None:
            return refused(404, "Revision not found", "RevisionNotFound")
        folder = f"{below}/" if below else ""
        paths = [p for p in sorted(found[1]) if p.startswith(folder)]
        folders = {folder + p[len(folder) :].split("/")[0] for p in paths if "/" in p[len(folder) :]}
        listed = [{"type": "directory", "path": f, "oid": "0" * 40} for f in sorted(folders)]
        whole = request.args.get("recursive", "").lower() in {"true", "1"}
        listed += [_entry(hub, p, found[1][p]) for p in paths if whole or "/" not in p[len(folder) :]]
        return jsonify(listed)

    @app.post("/api/datasets/<org>/<name>/paths-info/<revision>")
    def paths(org: str, name: str, revision: str) -> Response:
        found = _tree(hub, f"{org}/{name}", revision)
        if found is None:
            return refused(404, "Repository not found", "RepoNotFound")
        asked = request.form.getlist("paths") or request.get_json()["paths"]
        listed = [_entry(hub, p, found[1][p]) for p in asked if p in found[1]]
        listed += [
            {"type": "directory", "path": p, "oid": "0" * 40}
            for p in asked
            if any(one.startswith(f"{p}/") for one in found[1])
        ]
        return jsonify(listed)


def _routes_before_a_commit(app: Flask, hub: Hub) -> None:
    @app.post("/api/validate-yaml")
    def yaml() -> Response:
        content = request.get_json()["content"]
        if not content.startswith("---\n"):
            return refused(400, "no header")
        return jsonify(errors=[], warnings=[{"message": w} for w in hub.warnings])

    @app.post("/api/datasets/<org>/<name>/preupload/<revision>")
    def preupload(org: str, name: str, revision: str) -> Response:
        found = _tree(hub, f"{org}/{name}", revision)
        if found is None:
            return refused(404, "Repository not found", "RepoNotFound")
        told = []
        for file in request.get_json()["files"]:
            mode = "lfs" if file["size"] > LARGE else "regular"
            digest = found[1].get(file["path"])
            oid = None if digest is None else digest if mode == "lfs" else git_digest(hub.blobs[digest])
            told.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return jsonify(files=told)


def _routes_of_large_files(app: Flask, hub: Hub) -> None:
    @app.post("/datasets/<org>/<name>.git/info/lfs/objects/batch")
    def batch(org: str, name: str) -> Response:
        objects = []
        for one in request.get_json()["objects"]:
            link = {"href": f"{hub.url}/lfs/{one['oid']}?X-Signature=verysecret"}
            there = {} if one["oid"] in hub.blobs else {"actions": {"upload": link}}
            objects.append({"oid": one["oid"], "size": one["size"], **there})
        return jsonify(transfer="basic", objects=objects)

    @app.put("/lfs/<oid>")
    def put(oid: str) -> Response:
        data = request.get_data()
        if hashlib.sha256(data).hexdigest() != oid:
            return refused(400, "digest differs")
        hub.blobs[oid] = data
        return Response(status=200)


def _routes_of_the_commit(app: Flask, hub: Hub) -> None:
    @app.post("/api/datasets/<org>/<name>/commit/<revision>")
    def commit(org: str, name: str, revision: str) -> Response:
        repo = f"{org}/{name}"
        found = _tree(hub, repo, revision)
        assert found is not None
        lines = [json.loads(line) for line in request.get_data().splitlines()]
        if lines[0]["value"].get("parentCommit", found[0]) != found[0]:
            return refused(412, "A commit has happened since. Please refresh and try again.")
        tree, added = dict(found[1]), {}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "deletedFile":
                del tree[value["path"]]
            elif line["key"] == "lfsFile":
                assert value["oid"] in hub.blobs
                tree[value["path"]] = value["oid"]
            else:
                added[value["path"]] = base64.b64decode(value["content"])
        made = hub.commit(repo, revision, added, tree)
        return jsonify(commitUrl=f"{hub.url}/datasets/{repo}/commit/{made}", commitOid=made, pullRequestUrl=None)


def _routes_of_files(app: Flask, hub: Hub) -> None:
    @app.get("/datasets/<org>/<name>/resolve/<revision>/<path:path>")
    def resolve(org: str, name: str, revision: str, path: str) -> Response:
        found = _tree(hub, f"{org}/{name}", revision)
        if found is None:
            return refused(404, "Repository not found", "RepoNotFound")
        if path not in found[1]:
            answer = refused(404, "Entry not found", "EntryNotFound")
            answer.headers["X-Repo-Commit"] = found[0]
            return answer
        digest = found[1][path]
        data = hub.blobs[digest]
        answer = Response(data, mimetype="application/octet-stream")
        answer.headers.update({"ETag": f'"{digest}"', "X-Repo-Commit": found[0], "X-Linked-Size": str(len(data))})
        answer.accept_ranges = "bytes"
        return answer.make_conditional(request, accept_ranges=True, complete_length=len(data))


def _tree(hub: Hub, repo: str, revision: str) -> tuple[str, dict[str, str]] | None:
    """(commit, its files) of a branch or a commit."""
    if repo not in hub.repos:
        return None
    commit = hub.repos[repo]["branches"].get(revision, revision)
    return (commit, hub.commits[commit]) if commit in hub.commits else None


def _entry(hub: Hub, path: str, digest: str) -> dict[str, Any]:
    data = hub.blobs[digest]
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git_digest(data)}
    if len(data) > LARGE:
        entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
    return entry


if __name__ == "__main__":
    with serving() as running:
        print(running.url, flush=True)  # noqa: T201 - what the caller waits for
        threading.Event().wait()
