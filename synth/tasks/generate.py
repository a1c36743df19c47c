"""New texts with a document as reference: exercises, sections of a textbook, dialogues.

Styles, levels and readers are data (`prompts/styles.yaml`). Which of them a document gets is drawn by a digest of its
id, so that neither order nor number of documents changes what is asked about one.
"""

from __future__ import annotations

from dataclasses import dataclass

from synth.requests import Outcome, Request
from synth.samples import Document, Rejection, Sample, generation, sample_id
from synth.tasks.extract import made_pair
from synth.tasks.task import (
    Answers,
    Asking,
    check_language,
    check_pairs,
    check_parsed,
    check_text,
    chosen,
    failures,
    language_of,
    pairs_in,
    rejected,
    text_in,
)
from synth.windows import excerpt

REFERENCE_CHARS = 6_000  # of a document that a new text refers to


@dataclass(frozen=True, slots=True)
class Generate:
    """New questions with solutions.

    requests : per document and language, each of another (style, level); count : exercises asked for in one request.
    styles, levels : names, all where empty. languages : of the exercises, the document's own where empty.
    """

    asking: Asking
    requests: int = 1
    count: int = 3
    styles: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    max_chars: int = REFERENCE_CHARS
    name: str = "generate"

    def plan(self, item: Document) -> list[Request]:
        """A request for each (language, style, level)."""
        return [self._request(item, *choice) for choice in self._choices(item)]

    def check(self, request: Request, outcome: Outcome) -> str:
        """What is wrong with the tags or the language."""
        return check_pairs(request, outcome, own_words=True)

    def finish(self, item: Document, answers: Answers) -> list[Sample | Rejection]:
        """A sample for each pair."""
        made: list[Sample | Rejection] = list(failures(item, answers))
        for (_, style, level), (request, outcome) in zip(self._choices(item), answers, strict=True):
            if outcome.failure:
                continue
            pairs = pairs_in(outcome).pairs
            signals = {"style": style, "level": level}
            context = excerpt(item.text, self.max_chars)
            made += [
                made_pair(item, (request, outcome), k, pair, self.name, signals=dict(signals), context=context)
                for k, pair in enumerate(pairs)
            ] or [rejected(item, request, "nothing", "none")]
        return made

    def _choices(self, item: Document) -> list[tuple[str, str, str]]:
        known = self.asking.prompts.styles
        pairs = [f"{s}\0{k}" for s in self.styles or known["styles"] for k in self.levels or known["levels"]]
        drawn = chosen(pairs, self.requests, f"{self.asking.seed}\0{item.id}")
        languages = self.languages or (language_of(item),)
        return [(language, *pair.split("\0")) for language in languages for pair in drawn]  # type: ignore[misc]

    def _request(self, item: Document, language: str, style: str, level: str) -> Request:
        described = self.asking.prompts.described
        values = {
            "document": excerpt(item.text, self.max_chars), "style": described("styles", style, language),
            "level": described("levels", level, language), "count": str(self.count),
        }  # fmt: skip
        return self.asking.request(self.asking.prompt(self.name, item, language), values)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The document told anew: `name` is textbook or dialogue.

    manners : names of audiences of the textbook, or of dialogues; all where empty. requests : per document.
    """

    asking: Asking
    name: str = "textbook"
    manners: tuple[str, ...] = ()
    requests: int = 1
    max_chars: int = REFERENCE_CHARS

    def plan(self, item: Document) -> list[Request]:
        """A request for each manner drawn."""
        prompt, language = self.asking.prompt(self.name, item), language_of(item)
        described, kind = self.asking.prompts.described, self._kind
        text = excerpt(item.text, self.max_chars)
        values = [{"document": text, "style": described(kind, manner, language)} for manner in self._drawn(item)]
        return [self.asking.request(prompt, value) for value in values]

    def check(self, request: Request, outcome: Outcome) -> str:
        """What is wrong with the tags or the language."""
        failure = check_text(outcome)
        if failure:
            return failure
        parsed = text_in(outcome)
        return check_parsed(parsed, outcome) or check_language([parsed.text], request)

    def finish(self, item: Document, answers: Answers) -> list[Sample | Rejection]:
        """A sample of each text."""
        made: list[Sample | Rejection] = list(failures(item, answers))
        for manner, (request, outcome) in zip(self._drawn(item), answers, strict=True):
            if outcome.failure:
                continue
            parsed = text_in(outcome)
            if not parsed.text:
                made.append(rejected(item, request, "nothing", "none"))
                continue
            made.append(
                Sample(
                    sample_id(item.lineage, request, 0),
                    self.name,
                    language_of(item),
                    item.lineage,
                    generation(request, outcome, outside=parsed.outside),
                    text=parsed.text.strip(),
                    url=item.url,
                    context=excerpt(item.text, self.max_chars),
                    signals={"manner": manner},
                )
            )
        return made

    @property
    def _kind(self) -> str:
        return "dialogues" if self.name == "dialogue" else "audiences"

    def _drawn(self, item: Document) -> list[str]:
        names = self.manners or tuple(self.asking.prompts.styles[self._kind])
        return chosen(names, self.requests, f"{self.asking.seed}\0{item.id}")
