"""Everything that the report of a build shows, as data, counted from its datasets.

The ledger, the evidence, the corpus and what was removed are read shard by shard, and of them only the columns that are
needed; the texts of the few documents that are shown are fetched at the end, by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from decontam.align import side_by_side
from pipelines.audit.evidence import DECONTAMINATE, EXACT, NEAR, Clusters, Contamination, read_coverage
from pipelines.audit.head import head
from pipelines.audit.shown import Firsts, by_id, documents, masked, with_bins
from pipelines.audit.tallies import Histogram, Places, Smallest, Tally, doubling_edges, fetch, share_edges
from pipelines.dataset import Dataset, read_build
from pipelines.places import Place

TOP_HOSTS = 50
SAMPLED_REASONS = 100  # those with most documents; a crawl has thousands of media types
SAMPLES_PER_REASON = 5
SAMPLES_PER_KIND = 10
CORPUS_CHARS = 400
REMOVED_CHARS = 300
EVIDENCE_LINES = 5  # of a sample
SCORES = ("math_score", "quality_score", "language_score")
_AMOUNTS = ["tokens", "characters"]
_PARTS = ("source", "language", "source language", "host", "licence")  # of the corpus, by the columns of each
_BESIDE = {"doc_text", "item_text"}
_FIRST = ["id", "origin", "source", "language", "host", "licence"]
_SHOWN = ["id", "url", "origin", "source", "language", "licence", *SCORES, "tokens", "text"]


def figures(build: Place) -> dict[str, Any]:
    """The figures of a finished build, ready for JSON; the same for the same datasets, but for what is under `cost`.

    format, kind   of report.json, as docs/report.schema.json has it
    verdict        one sentence
    build          name, key, engine, versions, documents (read, kept, removed), datasets (rows, digest, content),
                   stages (name, key), skipped (records of other kinds, by kind),
                   unread_files (of the input folders, that no source takes: count, first)
    funnel         stages (stage, in, kept, removed, reasons), checks (check, left, right, holds), balanced
    composition    total, by_source, by_language, by_source_language, by_host (the first 50), other_hosts, by_licence:
                   documents, tokens (null where they were not counted), characters, shown
    removed        for each stage and reason, most documents first: documents, shown
    histograms     for each score, and for tokens: edges, kept, removed (documents in each bin), shown (the same two,
                   ids for each bin)
    duplicates     removed (documents by reason), clusters (the largest: kept, documents, exact, near, removed_by, url,
                   origin, text, members), clusters_left_out
    contamination  documents (removed), reported (kept, with evidence), reported_classes (these by their strongest),
                   reported_shown (ids of each), lines, lines_left_out (of documents with very many), classes,
                   benchmarks (hits beside coverage), lcs_edges, pairs (both texts in segments of [text, is common]),
                   pairs_left_out
    samples        for each source and language: documents, shown (the first of the corpus, by id)
    cost           seconds, passes, stages_cpu_s, peak_rss_mb
    documents      every document that a `shown` names, by id: where it is from, its scores, the beginning of its text,
                   kept (it is in the corpus), removed (stage, reason, score, evidence, of each time that it was)

    Raises InputError where there is no finished build, or its files are not those of its manifests.
    """
    manifest = read_build(build)
    data = {name: Dataset.load(build / name) for name in ("corpus", "removed", "evidence", "ledger")}
    ledger = _Ledger(data["ledger"])
    evidence = _Evidence(data["evidence"], ledger)
    corpus = _Corpus(data["corpus"], evidence.ids)
    removed = _Removed(data["removed"], {s["id"] for s in ledger.samples} | evidence.ids)
    funnel = _funnel(manifest, ledger.counts, {"corpus": corpus.rows, "removed": removed.rows})
    need = {s["name"]: s.get("need") for s in manifest["stages"]}.get(DECONTAMINATE)
    return {
        **head(build, manifest),
        "verdict": _verdict(manifest["documents"], funnel["checks"]),
        "build": _about(manifest),
        "funnel": funnel,
        "composition": corpus.composition(),
        "removed": ledger.reasons(),
        "histograms": _histograms(corpus, removed),
        "duplicates": {
            "removed": {c["reason"]: c["documents"] for c in ledger.counts if c["stage"] in {EXACT, NEAR}},
            "clusters": _clusters(evidence.clusters, corpus, removed),
            "clusters_left_out": evidence.all_clusters - len(evidence.clusters),
        },
        "contamination": evidence.contamination.figures(data["evidence"], read_coverage(build, need)),
        "samples": corpus.samples(),
        "cost": _cost(manifest),
        "documents": _documents(corpus, removed, {s["id"]: s for s in ledger.samples}, evidence.lines),
    }


# --- what the manifest says -------------------------------------------------------------------------------------------


def _about(manifest: dict[str, Any]) -> dict[str, Any]:
    kept = ("name", "key", "engine", "versions", "documents", "datasets", "skipped", "unread_files")
    stages = [{"name": s["name"], "key": s["key"]} for s in manifest["stages"]]
    return {**{k: manifest[k] for k in kept}, "stages": stages}


def _cost(manifest: dict[str, Any]) -> dict[str, Any]:
    stages: Counter[str] = Counter()
    for one in manifest["passes"]:
        stages.update(one["cost"]["stages_cpu_s"])
    fields = ("wall_s", "cpu_s", "peak_rss_mb")
    return {
        "seconds": manifest["seconds"],
        "passes": [
            {"kind": p["kind"], "stages": p["stages"], **{f: p["cost"][f] for f in fields}} for p in manifest["passes"]
        ],
        "stages_cpu_s": [
            {"stage": s["name"], "cpu_s": round(stages[s["name"]], 3)}
            for s in manifest["stages"]
            if s["name"] in stages
        ],
        "peak_rss_mb": max((p["cost"]["peak_rss_mb"] for p in manifest["passes"]), default=0),
    }


def _verdict(documents: dict[str, int], checks: list[dict[str, Any]]) -> str:
    read, kept = documents["read"], documents["kept"]
    share = f" ({percent(kept, read + documents['made'])})" if read else ""
    wrong = sum(not c["holds"] for c in checks)
    account = f"{wrong} of {len(checks)} checks do not hold" if wrong else "every document is accounted for"
    made = f", {documents['made']:,} made" if documents["made"] else ""
    return f"{read:,} documents read{made}, {kept:,} kept{share}, {documents['removed']:,} removed; {account}."


def percent(part: float, whole: float) -> str:
    """The share as whole percent; only nothing is 0 % and only all is 100 %."""
    share = 100 * part / whole if whole else 0.0
    if share in {0.0, 100.0} or 1 <= share <= 99:
        return f"{share:.0f} %"
    return f"{share:.1f} %" if 0.1 <= share <= 99.9 else "< 0.1 %" if share < 1 else "> 99.9 %"


def _funnel(manifest: dict[str, Any], counts: list[dict[str, Any]], rows: dict[str, int]) -> dict[str, Any]:
    """The stages as the build counted them, checked against each other and against the rows that are there."""
    stages, checks, before = [], [], None
    for stage in manifest["stages"]:
        name, gone = stage["name"], sum(stage["removed"].values())
        reasons = sorted(stage["removed"].items(), key=lambda r: (-r[1], r[0]))
        stages.append(
            {
                "stage": name,
                "in": stage["in"],
                "made": stage["made"],
                "kept": stage["kept"],
                "removed": gone,
                "reasons": [{"reason": r, "documents": n} for r, n in reasons],
            }
        )
        checks.append((f"{name}: in + made = kept + removed", stage["in"] + stage["made"], stage["kept"] + gone))
        if before is not None:
            checks.append((f"{name}: in = kept by the stage before", stage["in"], before))
        listed = {c["reason"]: c["documents"] for c in counts if c["stage"] == name}
        same = sum(n for r, n in listed.items() if stage["removed"].get(r) == n)
        checks.append((f"{name}: removed = ledger rows of the same reasons", gone, same))
        before = stage["kept"]
    ledger = sum(c["documents"] for c in counts)
    documents = manifest["documents"]
    whole = documents["read"] + documents["made"], rows["corpus"] + ledger
    checks.append(("documents read + made = corpus rows + ledger rows", *whole))
    checks.append(("ledger rows = removed rows", ledger, rows["removed"]))
    shown = [{"check": c, "left": a, "right": b, "holds": a == b} for c, a, b in checks]
    return {"stages": stages, "checks": shown, "balanced": all(c["holds"] for c in shown)}


# --- what the datasets hold -------------------------------------------------------------------------------------------


def _numbered(data: Dataset, columns: list[str]) -> Iterator[tuple[pa.Table, int]]:
    """The tables of a dataset, each with the number of its first row."""
    first = 0
    for table in data.tables(columns):
        yield table, first
        first += table.num_rows


def _empty_histograms() -> dict[str, Histogram]:
    return {**{name: Histogram(share_edges()) for name in SCORES}, "tokens": Histogram(doubling_edges())}


class _Ledger:
    """Counts by stage and reason, and the documents that stand for each."""

    def __init__(self, ledger: Dataset) -> None:
        counts, samples = Tally(["stage", "reason"]), Smallest(["stage", "reason"], SAMPLES_PER_REASON)
        self.contaminated: list[str] = []
        for table, first in _numbered(ledger, ["id", "stage", "reason", "score", "evidence", "url", "origin"]):
            counts.add(table)
            samples.add(table, first)
            found = table.filter(pc.equal(table["stage"], DECONTAMINATE))["evidence"]
            self.contaminated += found.drop_null().to_pylist()
        self.counts = counts.rows()
        sampled = {(c["stage"], c["reason"]) for c in self.counts[:SAMPLED_REASONS]}
        self.samples = [s for s in samples.rows() if (s["stage"], s["reason"]) in sampled]

    def reasons(self) -> list[dict[str, Any]]:
        """The figures under `removed`."""
        shown: dict[tuple[str, str], dict[str, None]] = {}
        for sample in self.samples:
            shown.setdefault((sample["stage"], sample["reason"]), {})[sample["id"]] = None
        return [{**c, "shown": list(shown.get((c["stage"], c["reason"]), ()))} for c in self.counts]


class _Evidence:
    """Clusters, contamination, and the lines of evidence of the ledger's samples, by key."""

    def __init__(self, evidence: Dataset, ledger: _Ledger) -> None:
        clusters, self.contamination = Clusters(), Contamination(ledger.contaminated)
        samples = Places({s["evidence"] for s in ledger.samples if s["evidence"]}, ["key"])
        for table, first in _numbered(evidence, ["key", "id", "stage", "evidence"]):
            clusters.add(table)
            self.contamination.add(table, first)
            samples.add(table, first)
        self.clusters, self.all_clusters = clusters.largest(evidence)
        self.lines: dict[str, list[dict[str, Any]]] = {}
        for row in fetch(evidence, [p["row"] for p in samples.rows], ["key", "evidence"]).values():
            self.lines.setdefault(row["key"], []).extend(orjson.loads(row["evidence"]))

    @property
    def ids(self) -> set[str]:
        """Ids of the documents of the clusters and of the benchmark texts that are shown."""
        return {
            i for c in self.clusters for i in (c["kept"], *(m["id"] for m in c["members"]))
        } | self.contamination.ids


class _Corpus:
    """What the corpus is made of, and where the documents are that stand for its parts."""

    def __init__(self, corpus: Dataset, ids: Collection[str]) -> None:
        self.data, self.rows = corpus, 0
        self.tallies = {by: Tally(by.split(), _AMOUNTS) for by in ("", *_PARTS)}
        self.histograms = _empty_histograms()
        self.places, self._samples = Places(ids, ["id"]), Smallest(["source", "language"], SAMPLES_PER_KIND)
        for table, first in _numbered(corpus, [*_FIRST, "tokens", *SCORES, "text"]):
            characters = pc.utf8_length(table["text"]).cast(pa.int64())
            amounts = table.drop_columns("text").append_column("characters", characters)
            for tally in self.tallies.values():
                tally.add(amounts)
            for name, histogram in self.histograms.items():
                histogram.add(table[name])
            self._samples.add(table.select(["id", "origin", "source", "language"]), first)
            self.places.add(table, first)
            self.rows += table.num_rows
        self.counts = {by: tally.rows() for by, tally in self.tallies.items()}
        self._hosts = [h for h in self.counts["host"] if h["host"] is not None]
        shown_hosts = [h["host"] for h in self._hosts[:TOP_HOSTS]]
        self.firsts = _firsts(corpus, [*_FIRST, "tokens", *SCORES], {"host": shown_hosts})

    def _part(self, by: str, rows: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        rows = self.counts[by] if rows is None else rows
        return [{**row, "shown": self.firsts.ids(by, *(row[c] for c in by.split()))} for row in rows]

    def composition(self) -> dict[str, Any]:
        """The figures under `composition`."""
        others = self._hosts[TOP_HOSTS:]
        amounts = {a: sum(h[a] or 0 for h in others) for a in ("documents", *_AMOUNTS)}
        return {
            "total": self.counts[""][0] if self.counts[""] else {"documents": 0, "tokens": None, "characters": 0},
            "by_source": self._part("source"),
            "by_language": self._part("language"),
            "by_source_language": self._part("source language"),
            "by_host": self._part("host", self._hosts[:TOP_HOSTS]),
            "other_hosts": {"hosts": len(others), **amounts},
            "by_licence": self._part("licence"),
        }

    def samples(self) -> list[dict[str, Any]]:
        """The figures under `samples`."""
        counts = {(c["source"], c["language"]): c["documents"] for c in self.counts["source language"]}
        shown: dict[tuple[str | None, str | None], dict[str, None]] = {}
        for row in self._samples.rows():
            shown.setdefault((row["source"], row["language"]), {})[row["id"]] = None
        return [
            {"source": key[0], "language": key[1], "documents": counts[key], "shown": list(ids)}
            for key, ids in shown.items()
        ]

    def documents(self) -> list[dict[str, Any]]:
        """The documents that the report shows, with their texts."""
        rows = {p["row"] for p in self.places.rows} | {s["row"] for s in self._samples.rows()} | self.firsts.rows
        return by_id(documents(self.data, rows, _SHOWN, CORPUS_CHARS))


class _Removed:
    """The scores of the removed documents, and where those are that the report shows."""

    def __init__(self, removed: Dataset, ids: Collection[str]) -> None:
        self.data, self.rows, self.histograms = removed, 0, _empty_histograms()
        places = Places(ids, ["id", "origin", "stage", "reason"])
        columns = ["id", "origin", "stage", "reason", "tokens", *SCORES]
        for table, first in _numbered(removed, columns):
            for name, histogram in self.histograms.items():
                histogram.add(table[name])
            places.add(table, first)
            self.rows += table.num_rows
        self.places = sorted(places.rows, key=lambda p: (p["id"], p["origin"] or ""))
        self.firsts = _firsts(removed, columns, None)

    def documents(self) -> list[dict[str, Any]]:
        """The documents that the report shows, with their texts, and with the stage that removed each, and why."""
        rows = {p["row"] for p in self.places} | self.firsts.rows
        return by_id(documents(self.data, rows, [*_SHOWN, "stage", "reason"], REMOVED_CHARS))


def _firsts(data: Dataset, columns: list[str], wanted: dict[str, list[str]] | None) -> Firsts:
    """The first documents of each bin of the histograms, and, where some values are wanted, of each part."""
    bins = {name: histogram.edges for name, histogram in _empty_histograms().items()}
    parts = {by: by.split() for by in _PARTS} if wanted is not None else {}
    firsts = Firsts({**parts, **{name: [f"bin:{name}"] for name in bins}}, wanted)
    for table, first in _numbered(data, columns):
        firsts.add(with_bins(table, bins), first)
    return firsts


# --- what is shown ----------------------------------------------------------------------------------------------------


def _histograms(corpus: _Corpus, removed: _Removed) -> dict[str, Any]:
    found = {}
    for name, kept in corpus.histograms.items():
        bins = range(len(kept.counts))
        found[name] = {
            "edges": kept.edges.tolist(),
            "kept": kept.counts.tolist(),
            "removed": removed.histograms[name].counts.tolist(),
            "shown": {
                "kept": [corpus.firsts.ids(name, b) for b in bins],
                "removed": [removed.firsts.ids(name, b) for b in bins],
            },
        }
    return found


def _documents(
    corpus: _Corpus, removed: _Removed, samples: dict[str, dict[str, Any]], lines: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """The figures under `documents`; one of an id that came twice can be both kept and removed."""
    shown = {d["id"]: {**d, "kept": True, "removed": []} for d in corpus.documents()}
    for gone in removed.documents():
        stage, reason = gone.pop("stage"), gone.pop("reason")
        sample = samples.get(gone["id"], {})
        found = lines.get(sample.get("evidence") or "", []) if sample.get("stage") == stage else []
        fate = {
            "stage": stage,
            "reason": reason,
            "score": sample.get("score") if sample.get("stage") == stage else None,
            "evidence": [_cut(line) for line in found[:EVIDENCE_LINES]],
        }
        shown.setdefault(gone["id"], {**gone, "kept": False, "removed": []})["removed"].append(fate)
    return dict(sorted(shown.items()))


def _cut(line: dict[str, Any]) -> dict[str, Any]:
    """A line of evidence with short texts, without personal data, and without those that stand side by side anyway."""
    texts = {k: v[:REMOVED_CHARS] for k, v in line.items() if isinstance(v, str) and k not in _BESIDE}
    others = {k: v for k, v in line.items() if not isinstance(v, str)}
    return {**others, **dict(zip(texts, masked(list(texts.values())), strict=True))}


def _clusters(clusters: list[dict[str, Any]], corpus: _Corpus, removed: _Removed) -> list[dict[str, Any]]:
    """The clusters with their texts; a document that was kept here may have gone at a later stage."""
    columns, missing = ["url", "origin", "text"], {"url": None, "origin": None, "text": None}
    texts = documents(corpus.data, [p["row"] for p in corpus.places.rows], columns, CORPUS_CHARS)
    best = {p["id"]: {"removed_by": None, **texts[p["row"]]} for p in corpus.places.rows}
    wanted = {i for c in clusters for i in (c["kept"], *(m["id"] for m in c["members"]))}
    places = [p for p in reversed(removed.places) if p["id"] in wanted]
    texts = documents(removed.data, [p["row"] for p in places], columns, CORPUS_CHARS)
    gone = {(p["id"], p["stage"]): texts[p["row"]] for p in places}
    for place in places:
        if place["id"] not in best:
            best[place["id"]] = {"removed_by": f"{place['stage']}: {place['reason']}", **texts[place["row"]]}
    shown = []
    for cluster in clusters:
        kept = best.get(cluster["kept"], {"removed_by": None, **missing})
        members = [{**m, **gone.get((m["id"], m["stage"]), missing)} for m in cluster["members"]]
        told = {k: cluster[k] for k in ("kept", "documents", "exact", "near")}
        shown.append({**told, **kept, "members": [{**m, "marked": _marked(kept["text"], m["text"])} for m in members]})
    return shown


def _marked(kept: str | None, removed: str | None) -> list[list[Any]]:
    """The removed text in pieces, each with whether it is common with the text that was kept."""
    return [list(piece) for piece in side_by_side(kept or "", removed or "")[1]]
