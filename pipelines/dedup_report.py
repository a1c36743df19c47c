"""What a run of `mathcorpus dedup` tells: report.json, and report.html with the largest clusters text beside text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from decontam.align import side_by_side, visible
from filters.minhash import MINHASH_VERSION
from filters.text import TEXT_VERSION
from pipelines.dedup_rows import LISTED, RowParams, texts_at
from pipelines.dedup_saved import REASONS
from pipelines.files import encodable, write_bytes

if TYPE_CHECKING:
    from pipelines.dedup import Keyed, Options
    from pipelines.dedup_answer import Answer

SHOWN_CLUSTERS = 20
SHOWN_MEMBERS = 3  # of a cluster, beside the one that stays
SHOWN_CHARS = 2000  # of a text
SHOWN_HOSTS = 50
_SIZES = (2, 3, 5, 10, 100, 1000)  # lower edges of the histogram of clusters
_VERSIONED = ("mathcorpus", "numba", "numpy", "pyarrow")


def make_report(options: Options, keyed: Sequence[Keyed], found: Answer) -> dict[str, Any]:
    """What report.json holds, but for the cost."""
    by_file = list(_by_file(keyed, found))
    gone = sum(one["removed"] for one in by_file)
    read = sum(one["read"] for one in by_file)
    fates = Counter(found.fates.tolist())
    bad, listed = _bad_rows(keyed)
    return {
        "documents": {"read": read, "kept": read - gone, "removed": gone, "compared": len(found.fates)},
        "reasons": {reason: fates[number] for number, reason in enumerate(REASONS) if number},
        "near": found.counts,
        "clusters": _clusters(found),
        "files": by_file,
        "hosts": _by_host(found),
        "bad_rows": bad,
        "bad_rows_listed": listed,
        "options": _told(options),
        "versions": {"text": TEXT_VERSION, "minhash": MINHASH_VERSION, **{name: version(name) for name in _VERSIONED}},
    }


def _told(options: Options) -> dict[str, Any]:
    rows = options.rows
    return {
        "inputs": [encodable(given) for given in options.inputs],
        "against": [str(folder) for folder in options.against],
        "fields": list(rows.fields.names),
        **{name: getattr(rows, name) for name in ("id_field", "url_field", "quality_field", "proof", "sibling_tokens")},
        **{name: getattr(rows.minhash, name) for name in ("bands", "rows", "ngram", "seed")},
        **{name: getattr(options, name) for name in ("threshold", "band_cap", "band_hubs", "urls", "near")},
    }


def _by_file(keyed: Sequence[Keyed], found: Answer) -> Iterator[dict[str, Any]]:
    """Rows of each file, and what became of them."""
    begin = 0
    for name, parts in groupby(keyed, key=lambda k: k.part.file.name):
        group = list(parts)
        end = begin + sum(k.read.keys for k in group)
        fates = Counter(found.fates[begin:end].tolist())
        begin = end
        read = sum(k.read.rows for k in group)
        gone = {reason: fates[number] for number, reason in enumerate(REASONS) if number}
        bad = sum(sum(k.read.problems.values()) for k in group)
        removed = sum(gone.values())
        yield {"name": encodable(name), "read": read, "kept": read - removed, "removed": removed, "bad": bad, **gone}


def _bad_rows(keyed: Sequence[Keyed]) -> tuple[dict[str, int], dict[str, list[str]]]:
    bad: Counter[str] = Counter()
    listed: dict[str, list[str]] = {}
    for one in keyed:
        bad.update(one.read.problems)
        for problem, rows in one.read.listed.items():
            held = listed.setdefault(problem, [])
            held += [encodable(f"{one.part.file.name}#{one.first + row}") for row in rows[: LISTED - len(held)]]
    return dict(sorted(bad.items())), dict(sorted(listed.items()))


def _by_host(found: Answer) -> list[dict[str, Any]]:
    """Rows of the hosts with most duplicates, and how many went."""
    new = found.rows.slice(found.rows.num_rows - len(found.fates)).select(["host"])
    new = new.append_column("removed", pa.array((found.fates > 0).astype(np.int64)))
    held = new.filter(pc.is_valid(new["host"]))
    counted = held.group_by("host").aggregate([("removed", "sum"), ("removed", "count")])
    counted = counted.rename_columns({"removed_sum": "removed", "removed_count": "documents"})
    order = [("removed", "descending"), ("documents", "descending"), ("host", "ascending")]
    counted = counted.filter(pc.greater(counted["removed"], 0))
    rows: list[dict[str, Any]] = counted.sort_by(order).slice(0, SHOWN_HOSTS).to_pylist()
    return [{**row, "host": visible(row["host"])} for row in rows]


def _clusters(found: Answer) -> dict[str, Any]:
    """How many clusters of each kind, how large, and the largest of those that lost a row."""
    table = found.clusters
    sizes = table.group_by(["kind", "cluster"]).aggregate([("id", "count"), ("kept", "count"), ("similarity", "min")])
    sizes = sizes.rename_columns(
        {"id_count": "documents", "kept_count": "removed", "similarity_min": "least_similarity"}
    )
    edges = np.searchsorted(_SIZES, sizes["documents"].to_numpy(), side="right") - 1
    kinds = np.array(sizes["kind"].to_pylist(), dtype=object)
    counts = {
        kind: {f"{_SIZES[e]}+": int(n) for e, n in sorted(Counter(edges[kinds == kind].tolist()).items())}
        for kind in ("exact", "url", "near", "sibling")
    }
    order = [("removed", "descending"), ("documents", "descending"), ("kind", "ascending"), ("cluster", "ascending")]
    largest = sizes.filter(pc.greater(sizes["removed"], 0)).sort_by(order).slice(0, SHOWN_CLUSTERS)
    return {"sizes": counts, "largest": largest.to_pylist()}


# --- the page ---------------------------------------------------------------------------------------------------------


def write_report(path: Path, report: dict[str, Any], found: Answer, keyed: Sequence[Keyed], params: RowParams) -> None:
    """Writes report.html: one file that loads nothing, and runs no script but ours."""
    from jinja2 import Environment, StrictUndefined

    from pipelines.audit.report import frame, number, own

    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(number=number)
    template = env.from_string(own("dedup.html.j2"))
    clusters = _shown(report["clusters"]["largest"], found, keyed, params)
    shown = {**report, "files": [{**f, "name": visible(f["name"])} for f in report["files"]]}
    write_bytes(path, template.render(frame(), f=shown, clusters=clusters).encode())


def _shown(largest: Sequence[dict[str, Any]], found: Answer, keyed: Sequence[Keyed], params: RowParams) -> list[Any]:
    """The largest clusters with the texts of some members, marked where they are the same as that which stays."""
    chosen = [(cluster, _some(cluster, found.clusters)) for cluster in largest]
    texts = _texts({m["origin"] for _, members in chosen for m in members}, keyed, params)
    shown = []
    for cluster, members in chosen:
        best, *others = ({**m, "text": texts.get(m["origin"], "")[:SHOWN_CHARS]} for m in members)
        pairs = [{**m, "sides": [_marked(side) for side in side_by_side(best["text"], m["text"])]} for m in others]
        names = {key: visible(str(best[key])) for key in ("id", "origin")}
        shown.append({**cluster, **names, "here": best["origin"] in texts, "members": [_visible(m) for m in pairs]})
    return shown


def _marked(side: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    return [(visible(piece), common) for piece, common in side]


def _visible(member: dict[str, Any]) -> dict[str, Any]:
    return {**member, "id": visible(member["id"]), "origin": visible(member["origin"])}


def _some(cluster: dict[str, Any], members: pa.Table) -> list[dict[str, Any]]:
    """The member that stays, and the first of those that go."""
    own = members.filter(
        pc.and_(pc.equal(members["kind"], cluster["kind"]), pc.equal(members["cluster"], cluster["cluster"]))
    )
    best = own.filter(pc.equal(own["id"], cluster["cluster"])).slice(0, 1).to_pylist()
    return [*best, *own.filter(pc.is_valid(own["kept"])).slice(0, SHOWN_MEMBERS).to_pylist()]


def _texts(origins: set[str], keyed: Sequence[Keyed], params: RowParams) -> dict[str, str]:
    """The texts of rows that were read in this run, by origin."""
    found: dict[str, str] = {}
    for one in keyed:
        name = encodable(one.part.file.name)
        rows = {int(o.rpartition("#")[2]) - one.first for o in origins if o.rpartition("#")[0] == name}
        wanted = frozenset(row for row in rows if 0 <= row < max(one.read.numbered, 1) + 1)
        for row, text in (texts_at(one.part, params, wanted) if wanted else {}).items():
            found[f"{name}#{one.first + row}"] = text
    return found
