"""A generated web of which everything is known: mathematical hosts of several dialects, mixed hosts, hard negatives.

Every word of a page is chosen by digests, so that a page is the same in every web that has it. A mathematical host
writes in two neighbouring dialects; the first seeds know only the first ones, so that recall has to walk from host to
host. Mixed hosts have a folder of mathematics among other things; other hosts have some pages full of numbers and of
words that mathematics uses, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

_COMMON = "the a of and to in is we it this that for with on as are be by from which then one can has not".split()
_COMMON_ZH = "的 是 在 了 和 有 我们 这 那 可以 因为 所以 一个 就 也 但 如果 那么 它 对于".split()

# A dialect: words that its pages are full of.
DIALECTS = [
    r"equation solve unknown factor quadratic root coefficient polynomial $x^2+5x+6=0$ simplify expand linear",
    r"integral derivative $\int_0^1 f(x)dx$ limit continuous series converges epsilon $\frac{dy}{dx}$ bounded calculus",
    r"group homomorphism kernel $G/N$ isomorphic ideal ring module abelian quotient generator coset subgroup",
    r"probability variance random expectation $E[X]$ distribution martingale Markov independent event density sample",
    r"triangle circumcircle bisector congruent tangent chord perpendicular collinear $\angle ABC$ inscribed midpoint",
    "prime modulo congruence divisor residue Fermat gcd totient integers coprime a^n=1(mod p) divides sieve",
    "方程 未知数 二次函数 因式分解 求解 不等式 根 系数 代数式 $x^2-3x+2=0$ 化简 解集",
    "证明 极限 收敛 连续 积分 导数 级数 $\\epsilon$ 一致 有界 定理 引理 $\\sum_{n=1}^\\infty$",
    "矩阵 向量空间 特征值 线性变换 秩 行列式 正交 基 对角化 $A^T A$ 二次型 维数",
]
_DIALECTS_OF_LANGUAGE = {"en": [0, 1, 2, 3, 4, 5], "zh": [6, 7, 8]}

_TOPICS = {
    "en": [
        "recipe onion butter oven simmer garlic flour spoon dinner taste pan sauce serve dough",
        "match goal striker league coach season referee stadium injured transfer fans penalty keeper",
        "hotel beach flight luggage island museum tour ticket harbour sunset guide visa train",
        "garden soil tomato seeds prune compost watering roses shade frost lawn weeds bloom",
        "phone battery screen update install camera charger app review price storage wireless laptop",
        "novel chapter author character plot heroine poem publisher library story reader memoir",
    ],
    "zh": [
        "菜谱 洋葱 黄油 锅 酱油 小火 面粉 好吃 晚饭 调味 蒸 汤",
        "比赛 进球 球员 联赛 教练 赛季 裁判 球场 受伤 转会 球迷 门将",
        "酒店 海滩 航班 行李 岛 博物馆 门票 港口 日落 导游 签证 火车",
        "手机 电池 屏幕 更新 安装 相机 充电 应用 价格 存储 无线 评测",
    ],
}
# Words that mathematics shares with other trades, and much arithmetic: hard negatives.
_HARD = {
    "en": "sum total factor rate equation balance odds number ratio root series group invoice stake payout 3.75 1,200",
    "zh": "方程式 赛车 总和 比率 号码 开奖 倍数 系数 账单 余额 3.75 1200 因数 求解",
}


class Page(NamedTuple):
    """A page and what is true of it."""

    url: str
    text: str
    is_math: bool


def digits(*parts: Any) -> int:
    """A number that follows from its parts alone."""
    return int.from_bytes(hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest())


def prose(key: str, language: str, vocabulary: list[str], other: list[str], words: int = 90) -> str:
    """Words of a vocabulary among common ones and a few of another vocabulary, in lines."""
    common = _COMMON if language == "en" else _COMMON_ZH
    out = []
    for at in range(words):
        roll, pick = digits(key, at) % 100, digits(key, at, "word")
        pool = vocabulary if roll < 40 else other if roll < 50 else common
        out.append(pool[pick % len(pool)])
        if roll % 12 == 0:
            out.append(str(pick % 97))
    joined = " ".join(out) if language == "en" else "".join(out)
    return joined + "\n"


def math_text(key: str, language: str, dialect: int) -> str:
    """A page of mathematics."""
    return prose(key, language, DIALECTS[dialect].split(), _topic(key, language))


def other_text(key: str, language: str, *, hard: bool = False) -> str:
    """A page about something else; a hard one is full of figures and shared words."""
    words = _HARD[language].split() if hard else _topic(key, language)
    return prose(key, language, words, _topic(f"{key}/2", language))


def _topic(key: str, language: str) -> list[str]:
    topics = _TOPICS[language]
    return topics[digits(key, "topic") % len(topics)].split()


def _language(host: int) -> str:
    return "zh" if host % 3 == 2 else "en"


def host_pages(host: int, pages: int) -> Iterator[Page]:
    """All pages of a host: of every ten hosts three are mathematical, one is mixed, the others are not."""
    language, kind = _language(host), host % 10
    held = _DIALECTS_OF_LANGUAGE[language]
    first = digits("dialect", host) % (len(held) - 1)
    name = {0: "math", 1: "math", 2: "math", 3: "mixed"}.get(kind, "site")
    for number in range(pages):
        key = f"{host}/{number}"
        roll = digits(key) % 100
        dialect = held[first + (roll % 2)]
        base = f"https://{name}{host}.example"
        if name == "math" and roll < 92:
            yield Page(f"{base}/notes/{number}.html", math_text(key, language, dialect), True)
        elif name == "mixed" and roll < 30:
            yield Page(f"{base}/math/{number}.html", math_text(key, language, dialect), True)
        elif name == "site" and roll < 1:
            yield Page(f"{base}/blog/{number}.html", math_text(key, language, dialect), True)
        else:
            hard = name == "site" and roll < 6
            yield Page(f"{base}/blog/{number}.html", other_text(key, language, hard=hard), False)


def web(hosts: int, pages: int) -> list[Page]:
    """All pages of a web; `pages` is their number in all."""
    sizes = [pages // hosts + (host < pages % hosts) for host in range(hosts)]
    return [page for host, size in enumerate(sizes) for page in host_pages(host, size)]


def write_web(root: Path, hosts: int, pages: int, *, seeds: int = 100, files: int = 4) -> list[Page]:
    """Writes web/*.jsonl, the first seeds (each language's first dialect) and labelled texts of all; the pages."""
    made = web(hosts, pages)
    rows = [{"id": str(n), "url": p.url, "text": p.text, "is_math": p.is_math} for n, p in enumerate(made)]
    for number in range(files):
        _write(root / "web" / f"part-{number}.jsonl", rows[number::files])
    for label, start in (("seeds", 0), ("test", seeds)):
        numbers = range(start, start + seeds)
        dialects = [0, 6] if label == "seeds" else range(len(DIALECTS))
        positive = [math_text(f"{label}/{n}", _of(d), d) for n in numbers for d in [list(dialects)[n % len(dialects)]]]
        negative = [
            other_text(f"{label}/{n}", ("en", "zh")[n % 2], hard=label == "test" and n % 5 == 0) for n in numbers
        ]
        for name, texts in (("positive", positive), ("negative", negative)):
            _write(root / label / f"{name}.jsonl", [{"text": text} for text in texts])
    return made


def _of(dialect: int) -> str:
    return "zh" if dialect in _DIALECTS_OF_LANGUAGE["zh"] else "en"


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
