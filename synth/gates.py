"""Gates that a sample has to pass, in a fixed order, each with a verdict, a reason and the numbers it rests on.

The order is from cheap to dear, and from what the text says to what others say of it. The first verdict that is no pass
ends the way of a sample: `fail`, or `unknown` where a gate cannot tell, which is never a pass. What belongs to other
rooms or costs a process (running code, duplicates of the corpus, benchmarks) comes in as a function (`given`).

Kinds of questions are routed: an open question needs an answer that n solutions agree on; a choice or a yes-no question
needs more agreement, since guesses agree too; a proof has no answer to compare, so that only a judge can pass it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from filters.errors import UsageError
from filters.near import content_digests
from filters.text import pack, token_strings, tokenise
from synth import gate_rules
from synth.gate_rules import FAIL, PASS, UNKNOWN, Finding, question_kind
from synth.samples import Document, Sample, Verdict
from synth.tool_use import ToolVerdict

GATES_VERSION = 1
ORDER = (
    "parse", "finish", "language", "length", "self_contained", "type", "latex", "source", "answer", "agreement", "code",
    "judge", "reward", "duplicate", "contamination",
)  # fmt: skip
MIN_SHARE = 0.5  # of n solutions, that state the winning answer
MIN_MARGIN = 2  # votes more than the next answer: 2 of 3 may be luck
GUESSABLE_SHARE = 0.75  # of n solutions, where there are few answers to choose from
MIN_FAITHFUL = 0.95  # of a question's tokens stand in the document: the rest is a joint or a repaired sign
MAX_COPIED, COPY_NGRAM = 0.6, 13  # share of a new text's 13-grams that stand in its source, below which it is new
_NOT_RUN = {"code_timeout", "code_refused", "code_oom", "code_output_cap"}
_EASY = 1.0  # share of votes at which a question teaches nothing new about answers

Item = Document | Sample
Check = Callable[[Sample, Item], Finding]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate; `check` takes a sample and what it was made of."""

    name: str
    check: Check
    version: int = GATES_VERSION


@dataclass(frozen=True, slots=True)
class Gates:
    """Gates in the order of `ORDER`, whatever the order they are given in."""

    gates: tuple[Gate, ...]

    def __call__(self, sample: Sample, item: Item) -> tuple[Sample, Verdict | None]:
        """(the sample with the verdicts, the one that stopped it)."""
        verdicts = list(sample.gates)
        for gate in self.gates:
            outcome, reason, evidence = gate.check(sample, item)
            verdicts.append(Verdict(gate.name, gate.version, outcome, reason, evidence))
            if outcome != PASS:
                break
        stopped = verdicts[-1] if self.gates and verdicts[-1].outcome != PASS else None
        return replace(sample, gates=tuple(verdicts)), stopped


def arranged(gates: Iterable[Gate]) -> Gates:
    """The gates in order; UsageError for an unknown name, or a second gate of one name."""
    listed = list(gates)
    found = {gate.name: gate for gate in listed}
    unknown = sorted(found.keys() - set(ORDER))
    if unknown or len(found) < len(listed):
        msg = f"gates: {unknown[0] if unknown else 'a name'} is no gate or there twice; gates are {', '.join(ORDER)}"
        raise UsageError(msg)
    return Gates(tuple(found[name] for name in ORDER if name in found))


def given(name: str, check: Callable[[Sample], Finding], version: int = GATES_VERSION) -> Gate:
    """A gate whose verdict somebody else gives: (pass, fail or unknown, reason, evidence)."""
    return Gate(name, lambda sample, _: check(sample), version)


def text_gates() -> list[Gate]:
    """The gates that look at the text alone: parse, finish, language, length, self-contained, LaTeX."""
    return [given(name, rule) for name, rule in gate_rules.RULES.items()]


def of_type(keep: Sequence[str] = ("open", "choice", "binary"), *, judged: bool = False) -> Gate:
    """Questions of the kinds `keep`; a proof among them is only kept where a judge follows."""
    if "proof" in keep and not judged:
        msg = "gates: proofs are kept and nothing judges them; add the judge, or leave out `proof`"
        raise UsageError(msg)

    def check(sample: Sample, _: Item) -> Finding:
        kind, evidence = question_kind(sample.question)
        return (PASS, kind, evidence) if kind in keep else (FAIL, kind, evidence)

    return Gate("type", check)


def faithful(least: float = MIN_FAITHFUL) -> Gate:
    """An extracted question's tokens stand in its document, as often as in the question."""

    def check(sample: Sample, item: Item) -> Finding:
        share = gate_rules.contained(token_strings(sample.question), token_strings(gate_rules.source_text(item)))
        return (PASS if share >= least else FAIL), ("" if share >= least else "invented"), {"share": round(share, 4)}

    return Gate("source", check)


def new(most: float = MAX_COPIED) -> Gate:
    """A generated question or text is no copy: below `most` of its 13-grams stand in its source."""

    def check(sample: Sample, item: Item) -> Finding:
        own = token_strings(sample.question or sample.text)
        share = gate_rules.copied(own, token_strings(gate_rules.source_text(item)), COPY_NGRAM)
        return (PASS if share < most else FAIL), ("" if share < most else "copied"), {"share": round(share, 4)}

    return Gate("source", check)


def one_answer() -> Gate:
    """A solution states one answer; proofs state none."""
    return Gate("answer", lambda sample, _: gate_rules.one_answer(sample))


def agreement(least: float = MIN_SHARE, margin: int = MIN_MARGIN, guessable: float = GUESSABLE_SHARE) -> Gate:
    """The answer is that of most solutions, and the one that the question came with, if it has one."""

    def check(sample: Sample, _: Item) -> Finding:
        kind = question_kind(sample.question)[0]
        if kind == "proof":
            return PASS, "proof", {}
        votes = sample.votes
        if not votes.get("n_parsed"):
            return UNKNOWN, "no_votes", dict(votes)
        wanted = guessable if kind in {"choice", "binary"} else least
        failures = {
            "share": votes["share"] < wanted, "margin": votes["margin"] < margin, "outvoted": not votes["agrees"],
            "reference": votes.get("reference") == "different",
        }  # fmt: skip
        reason = next((name for name, failed in failures.items() if failed), "")
        if not reason and votes.get("reference") == UNKNOWN:
            return UNKNOWN, "reference", dict(votes)
        return (FAIL if reason else PASS), reason, {**votes, "wanted": wanted, "easy": votes["share"] == _EASY}

    return Gate("agreement", check)


def ran(run: Callable[[str], ToolVerdict]) -> Gate:
    """The code of a solution runs and prints its answer; `run` is `tool_use.check_tool_use` with a sandbox.

    A solution in words has no code to run. What was stopped or not run at all is unknown.
    """

    def check(sample: Sample, _: Item) -> Finding:
        if sample.format != "code":
            return PASS, "no_code", {}
        found = run(sample.solution)
        evidence = {"runs": [{"status": each.status, "printed": each.stdout} for each in found.runs]}
        return (PASS if found.ok else UNKNOWN if found.failure in _NOT_RUN else FAIL), found.failure, evidence

    return Gate("code", check)


def judged() -> Gate:
    """A judge said yes."""
    outcomes = {"yes": (PASS, ""), "no": (FAIL, "refuted")}

    def check(sample: Sample, _: Item) -> Finding:
        outcome, reason = outcomes.get(str(sample.signals.get("judge")), (UNKNOWN, "no_verdict"))
        return outcome, reason, {k: v for k, v in sample.signals.items() if k.startswith("judge")}

    return Gate("judge", check)


def rewarded(keep: int = 1, least: float | None = None) -> Gate:
    """The best `keep` of a question's solutions by the reward model, with a reward of at least `least`.

    Solutions come best first, so these are the first that passed the gates before: what does not run is not the best.
    """
    passed: Counter[str] = Counter()

    def check(sample: Sample, _: Item) -> Finding:
        reward, parent = sample.signals.get("reward"), sample.parents[-1]
        if reward is None or reward != reward:  # noqa: PLR0124 - a model may return NaN
            return UNKNOWN, "no_reward", {}
        reason = "not_best" if passed[parent] >= keep else "low_reward" if least is not None and reward < least else ""
        passed[parent] += not reason
        return (FAIL if reason else PASS), reason, {"reward": reward, "rank": sample.signals.get("reward_rank")}

    return Gate("reward", check)


class Seen:
    """The questions and texts so far, by digests of their tokens: about 200 bytes for each, in the order they come.

    Solutions to the question of one parent are no duplicates of each other, unless they are the same.
    near : says which earlier sample or document is like this one, if any, by whatever rule.
    """

    def __init__(self, near: Callable[[Sample], str | None] | None = None) -> None:
        self._owners: dict[int, str] = {}
        self._texts: set[int] = set()
        self._near = near

    def __call__(self, sample: Sample) -> Finding:
        """The verdict on one sample, which is known from then on."""
        asked, whole = _digests(sample.question or sample.text, sample.training_text)
        owner = self._owners.setdefault(asked, sample.parents[-1])
        evidence = {"digest": f"{asked:016x}"}
        if owner != sample.parents[-1]:
            return FAIL, "question", {**evidence, "owner": owner}
        if whole in self._texts:
            return FAIL, "text", evidence
        self._texts.add(whole)
        like = self._near(sample) if self._near else None
        return (FAIL, "near", {**evidence, "like": like}) if like else (PASS, "", evidence)


def _digests(*texts: str) -> list[int]:
    found = content_digests(tokenise(pack(texts), operators=True, folded=False, spans=False))
    return [int(digest) for digest in found[:, 0]]
