"""What a tiny model is told to say: scores, texts in both languages, LaTeX, and an answer that is drawn from three."""

from __future__ import annotations

from synth.requests import Request, Sampling

SCORES = (0.9, 0.8, 0.7, 0.05, 0.95, 0.6)  # probability of YES
TOPICS = ("primes", "circles", "matrices", "cooking", "limits", "graphs")
TEXTS = {  # question -> the one answer
    "List the pairs of the page.": "<qa><question>1</question><answer>3</answer><solution>2</solution></qa>",
    "Is there no pair?": "<none/>",
    "求方程 $x^2 - 5x + 6 = 0$ 的根。": "分解得 $(x-2)(x-3)=0$，所以 $x=2$ 或 $x=3$。",
    "State the formula of the roots.": r"$$x_{1,2} = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}, \quad a \neq 0$$",
    "Print the sum of the first ten squares.": "```python\nprint(sum(k**2 for k in range(1, 11)))\n```\n\\boxed{385}",
    "Say the same three times.": "one two one two one two one two one two one two",
}
DRAWN = ("What is $6 \\times 7$?", {r"It is $\boxed{42}$.": 0.6, r"It is $\boxed{36}$.": 0.3, r"$\boxed{48}$": 0.1})
PAGE = "A page about {}, where a proof takes several lines and each line follows from those above it.\n\n"
ASKED = PAGE * 6 + "Is this page mathematics? Answer YES or NO."

Messages = tuple[tuple[str, str], ...]


def score_messages(topic: str) -> Messages:
    """Asks for the score of a page."""
    return (("system", "You judge pages."), ("user", ASKED.replace("{}", topic)))


def text_messages(question: str) -> Messages:
    """Asks a question."""
    return (("user", question),)


def examples() -> list[tuple[Messages, list[tuple[str, float]]]]:
    """All that the model is told."""
    scored = zip(TOPICS, SCORES, strict=True)
    told = [(score_messages(topic), [("YES", yes), ("NO", 1 - yes)]) for topic, yes in scored]
    told += [(text_messages(question), [(answer, 1.0)]) for question, answer in TEXTS.items()]
    question, drawn = DRAWN
    return [*told, (text_messages(question), list(drawn.items()))]


def request(messages: Messages, **fields: object) -> Request:
    """A request; `temperature` and `max_tokens` are of its sampling."""
    sampling = Sampling(**{name: fields.pop(name) for name in ("temperature", "max_tokens") if name in fields})  # type: ignore[arg-type]
    return Request("test", "test/en@1", "tiny", messages, sampling, **fields)  # type: ignore[arg-type]
