"""Questions that a document asks and answers: by the numbers of its blocks, copied by the model, and refined.

By blocks the text is the document's own, character for character, and costs few tokens. Copies are for documents whose
blocks hold more than a question each. Both give samples that go on to be refined, and keep what they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from rapidfuzz.distance import Levenshtein

from synth import blocks
from synth.blocks import Block
from synth.parse import Pair, parse_ids
from synth.requests import Outcome, Request
from synth.samples import Document, Rejection, Sample, generation, sample_id
from synth.tasks.task import Answers, Asking, check_pairs, failures, language_asked, pairs_in, rejected
from synth.windows import around

GROUP_CHARS = 12_000  # of a document that one request shows: about 4,000 tokens of English
CONTEXT_MARGIN, CONTEXT_CHARS = 1_000, 6_000  # around a pair, for those that refine it
_PARTS = ("question", "answer", "solution")
_SHOWN = re.compile(r"^<block (\d+)>$", re.MULTILINE)

Span = tuple[int, int]


def _groups(doc: Document, max_chars: int) -> list[list[Block]]:
    return blocks.groups(blocks.split(doc.text), max_chars)


@dataclass(frozen=True, slots=True)
class ExtractBlocks:
    """Pairs by block numbers; of a document longer than `max_chars`, each part is asked about by itself."""

    asking: Asking
    max_chars: int = GROUP_CHARS
    name: str = "extract_blocks"

    def plan(self, item: Document) -> list[Request]:
        """A request for each group of blocks."""
        prompt = self.asking.prompt(self.name, item)
        groups = _groups(item, self.max_chars)
        return [self.asking.request(prompt, {"document": blocks.show(item.text, group)}) for group in groups]

    def check(self, request: Request, outcome: Outcome) -> str:
        """What is wrong with the tags, or with the numbers where those of every pair are wrong."""
        failure = check_pairs(request, outcome, own_words=False)
        found = [] if failure else [_numbers(pair, _shown(request))[1] for pair in pairs_in(outcome).pairs]
        return f"parse:{found[0]}" if found and all(found) else failure

    def finish(self, item: Document, answers: Answers) -> list[Sample | Rejection]:
        """A sample for each pair, of the document's own characters."""
        made: list[Sample | Rejection] = list(failures(item, answers))
        own = blocks.split(item.text)
        for request, outcome in answers:
            if outcome.failure:
                continue
            for ordinal, pair in enumerate(pairs_in(outcome).pairs):
                numbers, failure = _numbers(pair, _shown(request))
                if failure:
                    made.append(rejected(item, request, "parse", failure, str(asdict(pair))))
                    continue
                spans = {part: blocks.spans_of(own, numbers[part]) for part in _PARTS}
                texts = {part: blocks.text_of(item.text, spans[part]) for part in _PARTS}
                made.append(_extracted(item, (request, outcome), ordinal, texts, spans))
        return made + _nothing(item, answers)


@dataclass(frozen=True, slots=True)
class ExtractVerbatim:
    """Pairs that the model copies; where a copy is exact, its place in the document is kept."""

    asking: Asking
    max_chars: int = GROUP_CHARS
    name: str = "extract_verbatim"

    def plan(self, item: Document) -> list[Request]:
        """A request for each group of blocks."""
        prompt = self.asking.prompt(self.name, item)
        spans = [(group[0].start, group[-1].end) for group in _groups(item, self.max_chars)]
        return [self.asking.request(prompt, {"document": item.text[a:b]}) for a, b in spans]

    def check(self, request: Request, outcome: Outcome) -> str:
        """What is wrong with the tags."""
        return check_pairs(request, outcome, own_words=False)

    def finish(self, item: Document, answers: Answers) -> list[Sample | Rejection]:
        """A sample for each pair."""
        made: list[Sample | Rejection] = list(failures(item, answers))
        for request, outcome in answers:
            if outcome.failure:
                continue
            for ordinal, pair in enumerate(pairs_in(outcome).pairs):
                if not (pair.answer.strip() or pair.solution.strip()):
                    made.append(rejected(item, request, "parse", "no_answer", pair.question))
                    continue
                texts = {part: getattr(pair, part).strip() for part in _PARTS}
                spans = {part: _found(item.text, text) for part, text in texts.items()}
                made.append(_extracted(item, (request, outcome), ordinal, texts, spans))
        return made + _nothing(item, answers)


@dataclass(frozen=True, slots=True)
class Refine:
    """A pair made fit to stand alone; the sample has both versions and how far they are apart."""

    asking: Asking
    name: str = "refine"

    def plan(self, item: Sample) -> list[Request]:
        """One request, with what stands around the pair."""
        values = {"document": item.context, **asdict(item.pair)}
        return [self.asking.request(self.asking.prompt(self.name, item), values)]

    def check(self, request: Request, outcome: Outcome) -> str:
        """What is wrong with the tags or the language; `parse:pairs` for more than one pair."""
        failure = check_pairs(request, outcome, own_words=True)
        return failure or ("parse:pairs" if len(pairs_in(outcome).pairs) > 1 else "")

    def finish(self, item: Sample, answers: Answers) -> list[Sample | Rejection]:
        """The refined sample."""
        made: list[Sample | Rejection] = list(failures(item, answers))
        for request, outcome in answers:
            for pair in () if outcome.failure else pairs_in(outcome).pairs:
                edits = {f"edit_{part}": _distance(getattr(item, part), getattr(pair, part)) for part in _PARTS}
                made.append(
                    made_pair(item, (request, outcome), 0, pair, "refine", before=asdict(item.pair), signals=edits)
                )
        return made + _nothing(item, answers)


def made_pair(  # noqa: PLR0913
    item: Document | Sample,
    answer: tuple[Request, Outcome],
    ordinal: int,
    pair: Pair,
    kind: str,
    *,
    before: Mapping[str, str] | None = None,
    signals: Mapping[str, object] | None = None,
    context: str = "",
) -> Sample:
    """A sample of a pair in the model's own words."""
    request, outcome = answer
    parsed = pairs_in(outcome)
    return Sample(
        sample_id(item.lineage, request, ordinal), kind, language_asked(request), item.lineage,
        generation(request, outcome, outside=parsed.outside, dropped=parsed.dropped),
        pair.question.strip(), pair.solution.strip(), pair.answer.strip(), url=item.url,
        context=context or getattr(item, "context", ""), before=before or {}, signals=signals or {},
    )  # fmt: skip


def _extracted(
    item: Document,
    answer: tuple[Request, Outcome],
    ordinal: int,
    texts: dict[str, str],
    spans: dict[str, tuple[Span, ...]],
) -> Sample:
    request, outcome = answer
    parsed = pairs_in(outcome)
    context = around(item.text, tuple(s for part in _PARTS for s in spans[part]), CONTEXT_MARGIN, CONTEXT_CHARS)
    return Sample(
        sample_id(item.lineage, request, ordinal), "extract", item.language, item.lineage,
        generation(request, outcome, outside=parsed.outside, dropped=parsed.dropped),
        question=texts["question"], solution=texts["solution"], answer=texts["answer"], url=item.url, context=context,
        spans=spans,
    )  # fmt: skip


def _nothing(item: Document | Sample, answers: Answers) -> list[Rejection]:
    """A rejection for each answer that says that there is nothing."""
    said = (r for r, outcome in answers if not outcome.failure and not pairs_in(outcome).pairs)
    return [rejected(item, request, "nothing", "none") for request in said]


def _shown(request: Request) -> list[int]:
    return [int(number) for number in _SHOWN.findall(request.messages[-1][1])]


def _numbers(pair: Pair, shown: Iterable[int]) -> tuple[dict[str, tuple[int, ...]], str]:
    """(part -> block numbers, failure) of a pair of lists."""
    known = list(shown)
    found: dict[str, tuple[int, ...]] = {}
    for part in _PARTS:
        found[part], failure = parse_ids(getattr(pair, part), known)
        if failure:
            return {}, failure
    if not found["question"]:
        return {}, "no_question"
    return found, "" if found["answer"] or found["solution"] else "no_answer"


def _found(text: str, part: str) -> tuple[Span, ...]:
    at = text.find(part) if part else -1
    return ((at, at + len(part)),) if at >= 0 else ()


def _distance(before: str, after: str) -> float:
    """Share of characters that differ, 0 to 1, by Levenshtein's distance."""
    return round(float(Levenshtein.normalized_distance(before, after)), 4)
