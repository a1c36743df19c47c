"""The hub, by huggingface_hub: the only file that imports it.

One commit on the head that was looked at, so that a dataset is never half of one build and half of another, and a
change by somebody else in between is noticed. Files go up before the commit and are known there by their digest: an
upload that was cut short is gone on with. Those that the head has already are not sent. `upload_large_folder` was
refused: it commits in many steps.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from filters.errors import MathcorpusError, OutputError, UsageError

if TYPE_CHECKING:
    from pipelines.publish_files import File

_KIND = "dataset"
_AT_ONCE = 4  # uploads
_MAX_MESSAGE = 200  # characters of what the hub says
_BEGUN = {".gitattributes", "README.md", "LICENSE"}  # files of a dataset that was only just made by hand
_AGAIN = "run it again: what has arrived is not sent again"
_ANSWERS = {
    401: "the hub does not accept the token; set HF_TOKEN, log in with `hf auth login`, or give --token-file",
    403: "the token may not write there; use one with write access to it",
    404: "the hub knows no such dataset or namespace, or the token may not see it; look at its name and at the token",
    409: f"the dataset changed meanwhile; {_AGAIN}",
    412: f"the dataset changed meanwhile; {_AGAIN}",
    413: "the hub finds it too large; publish without --with, or ask the hub for more room",
    429: f"the hub has had too many requests; wait some minutes, then {_AGAIN}",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """A dataset of the hub: ORG/NAME, the commit's message, and how; `token` None takes that of the environment."""

    repo: str
    message: str
    private: bool = False
    revision: str | None = None
    token: str | None = None

    def __str__(self) -> str:
        return f"hf://datasets/{self.repo}"


def address(repo: str) -> str:
    """Address of a dataset's page."""
    return f"{_endpoint()}/datasets/{repo}"


def upload(files: Sequence[File], to: Destination) -> dict[str, Any]:
    """Makes the dataset hold these files, and of those that an earlier run put there no others.

    Gives url, commit (None where nothing had changed), uploaded, unchanged and deleted (paths). OutputError, in one
    line, where the hub does not take them; the token is in no message.
    """
    hub = _library()
    token = to.token or hub.get_token()
    if token is None:
        msg = f"{to}: no token of the hub; set HF_TOKEN, log in with `hf auth login`, or give --token-file"
        raise UsageError(msg)
    hub.utils.logging.set_verbosity_error()  # it would tell of every try, and where
    if not sys.stderr.isatty():
        hub.utils.disable_progress_bars()
    api = hub.HfApi(endpoint=_endpoint(), token=token, library_name="mathcorpus")
    with _translated(to, token):
        head, there = _look(api, to)
        added = [f for f in files if there.get(f.path) not in _digests(f)]
        gone = sorted(_earlier(api, to, head, there) - {f.path for f in files})
        commit = _commit(api, to, head, added, gone) if added or gone else None
    fresh = {f.path for f in added}
    return {
        "url": address(to.repo),
        "commit": commit,
        "uploaded": sorted(fresh),
        "unchanged": sorted(f.path for f in files if f.path not in fresh),
        "deleted": gone,
    }


def _look(api: Any, to: Destination) -> tuple[str, dict[str, str]]:
    """The head of the dataset, made where there is none, and the digest of each of its files."""
    api.create_repo(to.repo, repo_type=_KIND, private=to.private or None, exist_ok=True)
    if to.revision:
        api.create_branch(to.repo, branch=to.revision, repo_type=_KIND, exist_ok=True)
    about = api.repo_info(to.repo, repo_type=_KIND, revision=to.revision)
    if to.private and not about.private:
        msg = f"{to}: is there already, and public; make it private on the hub, or publish without --private"
        raise OutputError(msg)
    tree = api.list_repo_tree(to.repo, repo_type=_KIND, revision=about.sha, recursive=True)
    files = [one for one in tree if hasattr(one, "blob_id")]  # the others are folders
    return str(about.sha), {f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in files}


def _digests(file: File) -> tuple[str, ...]:
    """What the hub may know a file by: SHA-256 of a large one, git's digest of a small one."""
    if isinstance(file.content, Path):
        return (file.sha256, _git_digest(file.content.read_bytes())) if file.size < 1 << 20 else (file.sha256,)
    return file.sha256, _git_digest(file.content)


def _git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _earlier(api: Any, to: Destination, head: str, there: dict[str, str]) -> set[str]:
    """The files that an earlier run put there; OutputError where somebody else did."""
    from pipelines.publish import MARKER, is_published

    if there.keys() <= _BEGUN:
        return set()
    with tempfile.TemporaryDirectory() as folder:
        if MARKER in there:
            path = Path(api.hf_hub_download(to.repo, MARKER, repo_type=_KIND, revision=head, local_dir=folder))
            if is_published(path):
                return {f["path"] for f in orjson.loads(path.read_bytes())["files"]} & there.keys()
    msg = f"{to}: holds files that `publish` did not write; give another name, or delete them there"
    raise OutputError(msg)


def _commit(api: Any, to: Destination, head: str, added: Sequence[File], gone: Sequence[str]) -> str:
    hub = _library()
    add = [hub.CommitOperationAdd(f.path, f.content) for f in added]
    delete = [hub.CommitOperationDelete(path, is_folder=False) for path in gone]
    made = api.create_commit(
        to.repo,
        [*add, *delete],
        commit_message=to.message,
        repo_type=_KIND,
        revision=to.revision,
        parent_commit=head,
        num_threads=_AT_ONCE,
    )
    return str(made.oid)


# --- the library ------------------------------------------------------------------------------------------------------


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        msg = "hf://: needs huggingface_hub; pip install 'mathcorpus[hub]', or give a folder with --to"
        raise UsageError(msg) from error
    return huggingface_hub


def _endpoint() -> str:
    """Address of the hub: HF_ENDPOINT, or the library's own."""
    if given := os.environ.get("HF_ENDPOINT"):
        return given.rstrip("/")
    _library()
    from huggingface_hub import constants  # no attribute of the library until something imports it

    return str(constants.ENDPOINT)


@contextmanager
def _translated(to: Destination, token: str) -> Iterator[None]:
    """Errors of the library as one line."""
    try:
        yield
    except MathcorpusError:
        raise
    except Exception as error:  # each layer below has errors of its own
        cause: BaseException = error
        while isinstance(cause, RuntimeError) and cause.__cause__ is not None:  # "Error while uploading ..."
            cause = cause.__cause__
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status is None and isinstance(cause, (TypeError, AttributeError, KeyError, AssertionError)):
            raise  # ours
        msg = f"{to}: {_in_words(status, cause)}".replace(token, "…")
        raise OutputError(msg) from error


def _in_words(status: int | None, error: BaseException) -> str:
    said = " ".join((getattr(error, "server_message", None) or str(error) or repr(error)).split())
    said = re.sub(r"\?[^\s'\"]*", "", said)[:_MAX_MESSAGE]  # addresses of uploads are signed
    if status is None:
        kind = "the hub answers what cannot be used" if isinstance(error, ValueError) else "the hub cannot be reached"
        return f"{kind} ({said}); {_AGAIN}"
    if status in _ANSWERS:
        return f"{_ANSWERS[status]} ({status})"
    if status >= 500:
        return f"the hub failed ({status}); {_AGAIN}"
    return f"the hub refused it ({status}: {said})"
