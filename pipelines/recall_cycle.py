"""One cycle of a recall, in its folder: model, scores, statistics, what is caught, and the seeds that it adds."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.errors import InputError
from filters.url_prefix import host_of
from pipelines import dataset as ds
from pipelines import keys
from pipelines.decisions import Artefact
from pipelines.engine import Engine, run_missing
from pipelines.recall_ledger import ADDED, by_side, math_hosts, prefix_rows, told_of
from pipelines.recall_model import measure, model_at, train_model
from pipelines.recall_recipe import RecallRecipe
from pipelines.recall_review import (
    FOLDER,
    HOST,
    PAGE,
    Review,
    asked,
    proposal_of_page,
    proposal_of_prefix,
    read_review,
    shown,
    write_review,
)
from pipelines.recall_seeds import (
    CANDIDATES,
    LABELS,
    LOW,
    Candidate,
    below,
    candidates_of,
    capped,
    order_of,
    still_holds,
)
from pipelines.recall_stats import (
    SCORE_UNITS,
    Cut,
    Prefix,
    Sides,
    cut_at,
    find_budget,
    judge_prefixes,
)
from pipelines.recall_tasks import Choice, ChooseTask, CorpusTask, CountTask, PickTask, RankTask, ScoreTask, rank_tables
from pipelines.stage import marker

if TYPE_CHECKING:
    from pipelines.recall import Events


Rows = Mapping[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Given:
    """What every cycle starts from. seeds, evaluate : (text, url) by label; digests : of their files."""

    recipe: RecallRecipe
    seeds: Rows
    evaluate: Rows | None
    digests: Any

    @cached_property
    def split(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """(texts to train on, texts to measure with) by label: whole hosts are held out where seeds have a url."""
        trained: dict[str, list[str]] = {}
        measured: dict[str, list[str]] = {}
        for label, rows in self.seeds.items():
            out = [self._is_held_out(text, url) for text, url in rows]
            trained[label] = [text for (text, _), held in zip(rows, out, strict=True) if not held]
            measured[label] = [text for (text, _), held in zip(rows, out, strict=True) if held]
        if self.evaluate is not None:
            measured = {label: [text for text, _ in rows] for label, rows in self.evaluate.items()}
        return trained, measured

    def _is_held_out(self, text: str, url: str) -> bool:
        if self.evaluate is not None:
            return False
        return below(order_of(self.recipe.seed, "held out", host_of(url) or text), self.recipe.held_out)


@dataclass
class Cycle:
    """A cycle in `root`; `before` are those before it, all done."""

    root: Path
    number: int
    given: Given
    documents: ds.Dataset
    engine: Engine
    events: Events
    before: list[Cycle]

    def __post_init__(self) -> None:
        """Holds the cycles before it as they are now."""
        self.before = list(self.before)
        self.recipe = self.given.recipe

    @cached_property
    def said(self) -> Review:
        """What the reviewer had said when the cycle began."""
        held = orjson.loads((self.root / "cycle.json").read_bytes())["verdicts"]
        return Review({tuple(k.split("\t")): {"verdict": v} for k, v in held.items()})

    def report(self) -> dict[str, Any]:
        """The report of a cycle that is done."""
        found: dict[str, Any] = orjson.loads((self.root / "report.json").read_bytes())
        return found

    def outcome(self) -> str:
        """Digest of all that a cycle hands on."""
        return str(orjson.loads((self.root / "done.json").read_bytes())["outcome"])

    def run(self, review: Path) -> dict[str, Any]:
        """Does what is not done yet; the report."""
        if (self.root / "done.json").exists():
            return self.report()
        seeds = self.seeds()
        model = self._model(seeds)
        scored = self._score(model)
        cut = self._cut(scored)
        judged = self._judge(scored["scores"], cut)
        chosen = self._choose(scored["scores"], cut, self._sides(judged))
        candidates = self._pick(chosen["candidates"])
        added = self._added(candidates)
        report = self._report(seeds, model, cut, judged, added)
        self._propose(review, judged, candidates)
        ds.write_json(self.root / "report.json", report)
        outcome = {
            "added": ds.file_sha256(self.root / "added.parquet")[0],
            "sides": self._sides_file().digest,
            "model": model.digest,
            "marks": chosen["marks"].digest,
            "verdicts": self.said.verdicts(HOST, FOLDER, PAGE),
        }
        ds.write_json(self.root / "done.json", {"outcome": keys.digest(outcome)})
        return report

    # --- seeds and model ----------------------------------------------------------------------------------------------

    def seeds(self) -> list[dict[str, Any]]:
        """The seeds that earlier cycles added and that still hold; of a page's, the latest."""
        if not self.before:
            return []
        last = self.before[-1]
        sides = Sides(**orjson.loads((last.root / "sides.json").read_bytes()))
        found: dict[bytes, dict[str, Any]] = {}
        for cycle in self.before:
            for row in pq.read_table(cycle.root / "added.parquet").to_pylist():
                found[row["key"]] = {**row, "cycle": cycle.number}
        depth = self.recipe.hosts.depth
        return [r for _, r in sorted(found.items()) if still_holds(r["why"], r["id"], r["url"], depth, sides)]

    def _model(self, seeds: list[dict[str, Any]]) -> Artefact:
        path = self.root / "model.bin"
        if path.exists():
            return model_at(path)
        self.events.note(f"cycle {self.number}: training")
        texts = {label: list(rows) for label, rows in self.given.split[0].items()}
        for row in seeds:
            texts[row["label"]].append(row["text"])
        if empty := [label for label, rows in texts.items() if not rows]:
            msg = f"recall: no {empty[0]} seeds are left to train on; give more, or lower held_out"
            raise InputError(msg)
        return train_model(texts["positive"], texts["negative"], self.recipe.train, self.recipe.seed, path)

    # --- scores and statistics ----------------------------------------------------------------------------------------

    def _pass(self, task: RankTask, what: str) -> dict[str, ds.Dataset]:
        """Runs what is missing of a task; its datasets by kind."""
        begin = partial(self.events.started, f"cycle {self.number}: {what}", task.ranks)
        run_missing(self.engine, task, begin, lambda _: self.events.rank_done())
        for left_behind in task.out.glob("*/_tmp"):  # by a run that was killed
            shutil.rmtree(left_behind, ignore_errors=True)
        reports = [orjson.loads(marker(task.out, r).read_bytes())["shards"] for r in range(task.ranks)]
        return {
            kind: ds.Dataset(task.out / kind, tuple(ds.Shard(**r[kind]) for r in reports), what)
            for kind in (reports[0] if reports else ())
        }

    def _score(self, model: Artefact) -> dict[str, ds.Dataset]:
        return self._pass(ScoreTask(self.root / "score", self.documents, model, self.recipe.hosts.depth), "scoring")

    def _cut(self, scored: dict[str, ds.Dataset]) -> Cut:
        budget = find_budget(self.engine.totals(scored["histogram"], "score"), self.recipe.keep)
        tied: list[tuple[bytes, int]] = []
        if budget.tied is not None:
            for table in scored["scores"].tables(["key", "score", "tokens"]):
                rows = table.filter(pc.equal(table["score"], budget.tied))
                tied += zip(rows["key"].to_pylist(), rows["tokens"].to_pylist(), strict=True)
        return cut_at(budget, tied)

    def _judge(self, scores: ds.Dataset, cut: Cut) -> dict[str, Prefix]:
        counts = self._pass(CountTask(self.root / "count", scores, cut), "counting")["counts"]
        judged = judge_prefixes(self.engine.totals(counts, "prefix", self.recipe.hosts.min_pages), self.recipe.hosts)
        ds.write_bytes(self.root / "prefixes.tsv", prefix_rows(judged))
        return judged

    def _sides_file(self) -> Artefact:
        path = self.root / "sides.json"
        return Artefact(str(path), ds.file_sha256(path)[0])

    def _sides(self, judged: Mapping[str, Prefix]) -> Artefact:
        sides = {
            "judged": {name: p.side for name, p in judged.items()},
            "verdicts": self.said.verdicts(HOST, FOLDER),
            "pages": self.said.verdicts(PAGE),
        }
        ds.write_json(self.root / "sides.json", sides)
        return self._sides_file()

    # --- what is caught, and what is added ----------------------------------------------------------------------------

    def _choose(self, scores: ds.Dataset, cut: Cut, sides: Artefact) -> dict[str, ds.Dataset]:
        choice = Choice(sides, self.recipe.widen, self.recipe.seed, self.number, cut)
        before = self.before[-1].marks() if self.before else None
        return self._pass(ChooseTask(self.root / "choose", scores, choice, before), "choosing")

    def _finished(self, folder: str, kind: str) -> ds.Dataset:
        ranks = range(len(self.documents.shards))
        reports = [orjson.loads(marker(self.root / folder, r).read_bytes()) for r in ranks]
        return ds.Dataset(self.root / folder / kind, tuple(ds.Shard(**r["shards"][kind]) for r in reports), kind)

    def marks(self) -> ds.Dataset:
        """Row by row beside the documents, what was caught; of a cycle that is done."""
        return self._finished("choose", "marks")

    def _pick(self, found: ds.Dataset) -> list[tuple[Candidate, str]]:
        """The candidates of all ranks within the limits, with their texts."""
        table = pa.concat_tables([CANDIDATES.empty_table(), *found.tables()])
        rows = self._balanced(capped(candidates_of(table), self.recipe.widen))
        chosen: dict[str, list[int]] = {}
        for rank, row in sorted({(r.rank, r.row) for r in rows}):
            chosen.setdefault(str(rank), []).append(row)
        path = self.root / "chosen.json"
        ds.write_json(path, chosen)
        task = PickTask(self.root / "pick", self.documents, Artefact(str(path), ds.file_sha256(path)[0]))
        picked = self._pass(task, "copying seeds")["texts"]
        texts = {}
        for rank in range(task.ranks):
            for part in rank_tables(picked, rank):
                for row, text in zip(part["row"].to_pylist(), part["text"].to_pylist(), strict=True):
                    texts[rank, row] = text
        return [(r, texts[r.rank, r.row]) for r in rows]

    def _balanced(self, rows: list[Candidate]) -> list[Candidate]:
        """The candidates with so many low-scored ones as the negative seeds lack.

        With more positive than negative seeds a model takes what it has never seen for mathematics; with fewer it finds
        nothing new.
        """
        labels = Counter(row["label"] for row in self.seeds())
        labels.update(LABELS[row.why] for row in rows if row.why in LABELS and row.why != LOW)
        labels.update({label: len(texts) for label, texts in self.given.split[0].items()})
        most = max(0, round(self.recipe.widen.negatives * labels["positive"]) - labels["negative"])
        low = [row for row in rows if row.why == LOW][:most]
        return sorted([*low, *(row for row in rows if row.why != LOW)], key=lambda row: row.why)

    def _figures(self) -> Counter[str]:
        """What the ranks counted while they chose, in all."""
        total: Counter[str] = Counter()
        for rank in range(len(self.documents.shards)):
            total.update(orjson.loads(marker(self.root / "choose", rank).read_bytes())["figures"])
        return total

    def _added(self, candidates: list[tuple[Candidate, str]]) -> pa.Table:
        """The new seeds, written to added.parquet: no page that is such a seed already."""
        known = {row["key"]: row["label"] for row in self.seeds()}
        rows = [
            {"label": LABELS[r.why], **r._asdict(), "text": text}
            for r, text in candidates
            if r.why in LABELS and known.get(r.key) != LABELS[r.why]
        ]
        added = pa.Table.from_pylist(rows, schema=ADDED)
        tmp = self.root / ".added.tmp"
        with ds.writing(self.root):
            pq.write_table(added, tmp, compression="zstd", compression_level=ds.ZSTD_LEVEL)
            ds.commit_file(tmp, self.root / "added.parquet")
        return added

    def write_corpus(self) -> ds.Dataset:
        """The documents that this cycle caught, with their scores."""
        scores = self._finished("score", "scores")
        task = CorpusTask(self.root / "corpus", self.documents, scores, self.marks())
        return self._pass(task, "writing the corpus")["corpus"]

    # --- ledger -------------------------------------------------------------------------------------------------------

    def _report(
        self, seeds: list[dict[str, Any]], model: Artefact, cut: Cut, judged: Mapping[str, Prefix], added: pa.Table
    ) -> dict[str, Any]:
        figures = self._figures()
        caught, known = figures["caught"], figures["known"]
        trained, measured = self.given.split
        return {
            "cycle": self.number,
            "pages": self.documents.rows,
            "caught": caught,
            "caught_tokens": figures["tokens"],
            "known": known,
            "new": caught - known,
            "known_share": round(known / caught, 6) if caught else 1.0,
            "cut": {"score": cut.score / SCORE_UNITS, "key": cut.key.hex()},
            "math_hosts": math_hosts(judged),
            "prefixes": by_side(judged),
            "verdicts_obeyed": len(self.said.rows),
            "seeds": {
                **{f"first_{label}": len(texts) for label, texts in trained.items()},
                **{f"added_{why}": n for why, n in sorted(Counter(r["why"] for r in seeds).items())},
            },
            "added": told_of(added),
            "model": {"sha256": model.digest},
            "evaluation": measure(measured["positive"], measured["negative"], model, self.recipe.keep.threshold),
        }

    def _propose(self, review: Path, judged: Mapping[str, Prefix], candidates: list[tuple[Candidate, str]]) -> None:
        """Writes review.tsv: prefixes with an example of theirs, and pages of each kind."""
        taken: Counter[str] = Counter()
        pages: list[dict[str, str]] = []
        examples: dict[str, str] = {}
        for row, text in candidates:
            examples.setdefault(row.prefix, row.url or "")
            taken[row.why] += 1
            if taken[row.why] <= self.recipe.widen.review_pages:
                pages.append(proposal_of_page(row.id, row.why, row.score, self.number, shown(row.url, text)))
        prefixes = asked(judged, self.recipe.widen.review_prefixes)
        proposals = [proposal_of_prefix(p, self.number, examples.get(p.name, "")) for p in prefixes]
        write_review(review, read_review(review), [*proposals, *pages])
