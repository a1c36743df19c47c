"""What must not leave with a corpus: paths of this machine, addresses of servers, keys.

Two guards, since each alone has holes. What we write ourselves (card, recipe, report) is rewritten: a path becomes its
name, an address nothing. Then every byte that is to leave is searched for what this machine calls itself: the paths of
the recipe, the folder of the build, the home folder, and the secrets of the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import InputError
from pipelines.places import Place, is_url

_HUB = "hf://"
_SECRET_KEY = re.compile(r"(?i)(password|secret|credential|api_?key|access_?key|key_env|(^|_)token$)")
_SECRET_VALUE = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16})\b")
_SECRET_NAME = re.compile(r"(?i)(^|_)(token|secret|password|api_?key|access_?key)s?($|_)")  # of a variable
_MIN_SECRET = 12  # characters; a shorter value of such a variable would be found in any text
_MIN_PARTS = 2  # names in a path that is searched for; /root or /data stand in many texts
_SEARCHED = ("origin", "url", "host", "licence", "source_id", "metadata")  # columns; a text may speak of any path


def public(value: Any, params: Mapping[str, str | None]) -> Any:
    """The value with paths of this machine as `${param}/rest` or by their last name, without addresses and keys.

    params : of the recipe, by name; the longest that a path lies below names it.
    """
    if isinstance(value, dict):
        return {k: None if _is_private(k, v) else public(v, params) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [public(one, params) for one in value]
    return _public_text(value, params) if isinstance(value, str) else value


def public_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as it may be shown; its params have no values, as in one whose user has to give them."""
    params = recipe.get("params") or {}
    shown: dict[str, Any] = public({k: v for k, v in recipe.items() if k != "params"}, params)
    return {**shown, "params": dict.fromkeys(params)} if params else shown


def _is_private(key: Any, value: Any) -> bool:
    return isinstance(value, str) and isinstance(key, str) and (key == "url" or _SECRET_KEY.search(key) is not None)


def _public_text(value: str, params: Mapping[str, str | None]) -> str:
    if is_url(value):
        return value if value.startswith(_HUB) else value.rstrip("/").rpartition("/")[2].partition("?")[0]
    if not (value.startswith(("/", "~")) or ".." in Path(value).parts):
        return _SECRET_VALUE.sub("…", value)
    above = [
        (len(given), name, value[len(given.rstrip("/")) :])
        for name, given in params.items()
        if given and (value == given or value.startswith(given.rstrip("/") + "/"))
    ]
    if above:
        _, name, rest = max(above)
        return f"${{{name}}}{rest}"
    return Path(value).name


# --- the search -------------------------------------------------------------------------------------------------------


class Private:
    """What this machine calls itself, to be searched for."""

    def __init__(self, build: Place, recipe: dict[str, Any], token: str | None = None) -> None:
        paths = {str(build.absolute()), str(Path.home()), *_absolute(recipe)}
        self.paths = sorted(p for p in paths if len(Path(p).parts) > _MIN_PARTS or is_url(p))
        found = {v for k, v in os.environ.items() if _SECRET_NAME.search(k) and len(v) >= _MIN_SECRET}
        self._secrets = sorted({*found, *([token] if token else [])})
        inside = "|".join(re.escape(p) for p in self.paths)
        self._path = re.compile(rf"(?:(?<![\w./-])|(?<=file://))(?:{inside})(?![\w-])") if inside else None

    def check_text(self, name: str, text: str) -> None:
        """InputError where a file that we wrote names this machine; the message never holds a secret."""
        if (found := self._path and self._path.search(text)) or any(s in text for s in self._secrets):
            what = f"the path {found[0]}" if found else "a secret of the environment"
            msg = (
                f"{name}: would hold {what}, which must not leave this machine; rename it in the recipe and build again"
            )
            raise InputError(msg)

    def check_rows(self, name: str, table: pa.Table) -> None:
        """InputError where a column that is not a text names this machine, with the first such document."""
        for column in _SEARCHED:
            if column not in table.column_names:
                continue
            for needle in (*self.paths, *self._secrets):
                rows = table.filter(pc.match_substring(table[column], needle)).select(["id", column]).to_pylist()
                for row in rows:
                    self._refuse(f"{name}: document {row['id']}: {column}", row[column])

    def _refuse(self, where: str, text: str) -> None:
        secret = any(s in text for s in self._secrets)
        found = self._path and self._path.search(text)
        if found or secret:
            what = f"holds the path {found[0]} of this machine" if found else "holds a secret of the environment"
            msg = f"{where} {what}, which must not leave it; mend the input and build again"
            raise InputError(msg)


def _absolute(value: Any) -> Iterator[str]:
    """Every path of this machine, and every URL but the hub's, that a recipe names."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _absolute(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _absolute(one)
    elif isinstance(value, str) and (value.startswith("/") or (is_url(value) and not value.startswith(_HUB))):
        yield value.rstrip("/")
