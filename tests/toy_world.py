"""Documents of a toy world, in English and Chinese, with the question-answer pairs that they hold.

What a small model can learn to read in minutes: a few layouts, names and things, sums of small numbers. Whoever draws
with another seed gets documents that nobody has seen.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synth.blocks import show, split
from synth.prompts import Prompts, load

LANGUAGES = ("en", "zh")
HELD_OUT = 26  # of 256
MOST = 40  # of a number in a question: too many sums to learn by heart, so that many solutions are wrong
HAS_SOLUTION = 0.7
NAMES = {"en": "Ann Ben Cleo Dan Eve Finn Gwen Hugo Ida Jack".split(), "zh": list("明红华丽刚军芳强")}
THINGS = {
    "en": "pens coins apples cards shells books stamps buttons marbles tickets".split(),
    "zh": "支笔 枚硬币 个苹果 张卡片 本书 枚邮票 颗纽扣 张车票".split(),
}
ASKED = {  # sign, what is told, what is asked
    "en": (
        ("+", "{n} has {a} {t} and gets {b} more.", "How many {t} does {n} have now?"),
        ("-", "{n} has {a} {t} and loses {b}.", "How many {t} are left?"),
        ("*", "{n} has {a} bags with {b} {t} in each.", "How many {t} are in the bags?"),
    ),
    "zh": (
        ("+", "小{n}有{a}{t}，又得到{b}{t}。", "小{n}现在一共有几{t}？"),
        ("-", "小{n}有{a}{t}，丢了{b}{t}。", "小{n}还剩几{t}？"),
        ("*", "小{n}有{a}个袋子，每个袋子里有{b}{t}。", "袋子里一共有几{t}？"),
    ),
}
SOLVED = {"en": "We find ${a} {s} {b} = {c}$.", "zh": "列式得${a} {s} {b} = {c}$。"}
ANSWERED = {"en": ("Answer: {c}", "Answer: ${c}$"), "zh": ("答案：{c}", "答案：${c}$")}
MARKED = {"en": ("", "Question: ", "Problem: "), "zh": ("", "问题：", "题目：")}
BESIDE = {
    "en": (
        "This page was made by {n}.", "{n} likes {t} and the number {a}.", "Read more about {t} below.",
        "Last week {n} saw {a} {t}.", "Please log in to write here.",
    ),
    "zh": ("本页由小{n}编写。", "小{n}喜欢数字{a}。", "上周小{n}看到{a}{t}。", "请登录后再写。", "下面还有更多内容。"),
}  # fmt: skip
CONCLUDED = {"en": "So the result is $\\boxed{{{c}}}$.", "zh": "所以结果是$\\boxed{{{c}}}$。"}
PACK = {  # what the model is asked, shorter than our own prompts
    ("extract_blocks", "blocks"): ("{{document}}\n\nBlocks?", "{{document}}\n\n哪些段？"),
    ("solve_cot", "solution"): ("{{question}}\n\nSolve.", "{{question}}\n\n求解。"),
}
SAMPLING = {
    "extract_blocks": "{temperature: 0.0, max_tokens: 64}",
    "solve_cot": "{temperature: 0.7, top_p: 0.95, max_tokens: 64}",
}


@dataclass(frozen=True)
class Sum:
    """One question: its text, how it is solved, and the number that is right."""

    question: str
    derivation: str
    conclusion: str
    answer: int


@dataclass(frozen=True)
class Document:
    """A text, the numbers of the blocks of each pair as a model is to write them, and the sums that it solves."""

    language: str
    text: str
    pairs: tuple[tuple[str, str, str], ...]  # question, answer, solution
    sums: tuple[Sum, ...]

    @property
    def reply(self) -> str:
        """What the model is to say."""
        pair = "<qa><question>{}</question><answer>{}</answer><solution>{}</solution></qa>"
        return "\n".join(pair.format(*numbers) for numbers in self.pairs) or "<none/>"


def draw_sum(rnd: random.Random, language: str) -> Sum:
    """A question with its solution."""
    sign, told, asked = rnd.choice(ASKED[language])
    a, b = rnd.randint(2, MOST), rnd.randint(2, MOST)
    if sign == "-":
        a, b = max(a, b) + 1, min(a, b)
    c = {"+": a + b, "-": a - b, "*": a * b}[sign]
    said = {"n": rnd.choice(NAMES[language]), "t": rnd.choice(THINGS[language]), "a": a, "b": b, "c": c}
    shown = "\\times" if sign == "*" else sign
    blank = " " if language == "en" else ""
    return Sum(
        f"{told}{blank}{asked}".format(**said),
        SOLVED[language].format(s=shown, **said),
        CONCLUDED[language].format(**said),
        c,
    )


def draw_document(rnd: random.Random, language: str) -> Document:
    """A document of a few paragraphs with none, one or two pairs, most of them with a solution."""
    paragraphs: list[str] = []
    pairs, sums = [], []
    for _ in range(rnd.choice((0, 1, 1, 1, 2))):
        paragraphs += _beside(rnd, language, rnd.randint(0, 2))
        task = draw_sum(rnd, language)
        paragraphs.append(rnd.choice(MARKED[language]) + task.question)
        question = str(len(paragraphs))
        paragraphs += _beside(rnd, language, rnd.choice((0, 0, 1)))
        solution = ""
        if rnd.random() < HAS_SOLUTION:
            paragraphs.append(task.derivation)
            solution = str(len(paragraphs))
        paragraphs.append(rnd.choice(ANSWERED[language]).format(c=task.answer))
        pairs.append((question, str(len(paragraphs)), solution))
        sums.append(task)
    paragraphs += _beside(rnd, language, rnd.randint(0 if paragraphs else 2, 2))
    return Document(language, "\n\n".join(paragraphs), tuple(pairs), tuple(sums))


def _beside(rnd: random.Random, language: str, count: int) -> list[str]:
    said = [rnd.choice(BESIDE[language]) for _ in range(count)]
    values = {"n": rnd.choice(NAMES[language]), "t": rnd.choice(THINGS[language]), "a": rnd.randint(2, 99)}
    return [text.format(**values) for text in said]


def write_pack(folder: Path) -> Prompts:
    """Writes a folder of prompts for these documents, as a user would, and loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    for (task, parser), bodies in PACK.items():
        for language, body in zip(LANGUAGES, bodies, strict=True):
            head = f"id: {task}\nversion: 1\nlanguage: {language}\ntask: {task}\nparser: {parser}\n"
            text = f"---\n{head}sampling: {SAMPLING[task]}\n---\n# user\n{body}\n"
            (folder / f"{task}.{language}.md").write_text(text, encoding="utf-8")
    return load(folder)


def is_held_out(text: str) -> bool:
    """Whether a document is one of the tenth that nothing is trained on."""
    return hashlib.blake2b(text.encode(), digest_size=1).digest()[0] < HELD_OUT


def unseen(seed: int, language: str) -> Iterator[Document]:
    """Documents with pairs, without end; no lesson has one of these texts."""
    rnd = random.Random(seed)
    while True:
        document = draw_document(rnd, language)
        if document.pairs and is_held_out(document.text):
            yield document


def lessons(seed: int, prompts: Prompts) -> Iterator[tuple[tuple[tuple[str, str], ...], str]]:
    """(messages, reply) without end: documents and sums in turn, a third of them Chinese."""
    rnd = random.Random(seed)
    while True:
        language = rnd.choice(("en", "en", "zh"))
        document = draw_document(rnd, language)
        if is_held_out(document.text):
            continue
        shown = show(document.text, split(document.text))
        yield prompts.get("extract_blocks", language).render({"document": shown}), document.reply
        task = draw_sum(rnd, language)
        question = rnd.choice(MARKED[language]) + task.question
        reply = task.derivation + (" " if language == "en" else "") + task.conclusion
        yield prompts.get("solve_cot", language).render({"question": question}), reply
