"""Language of a text: by script and function words where they are certain, else by py3langid.

Formulas, commands, code, addresses, numbers and signs are taken out first: they are what makes detectors call a page of
algebra Latin, Norwegian or "no language". What is left is weighed as words: a Chinese word has `HAN_PER_WORD`
characters, and an English text is known by its function words, so that variables, names and keywords between Chinese
sentences weigh nothing. Where both languages have a share, a text is `mixed`. The model (from py3langid's package) is
asked only for what neither script nor function words decide: a hundredth of pages. Source code passes as `und`.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from py3langid.langid import MODEL_FILE, LanguageIdentifier

LANGUAGE_VERSION = "language-3"
SAMPLE_CHARS = 8_000  # from the middle, where there is less navigation than at either end
WHOLE_CHARS = 200_000  # from the start, where the sample decides nothing: its middle may be one listing or derivation
HAN_PER_WORD = 1.6
MIN_HAN = 4  # fewer are no evidence
MIN_LETTERS = 20  # as many Latin letters are none
MIN_WORD_SHARE = 0.5  # of letters, in words of three or more: below, they name variables, as in formal proofs
KANA_SHARE = 0.15  # of Han and kana together: Japanese texts have half, Chinese ones quote names
FUNCTION_SHARE = 0.28  # of the words of English prose are in `_FUNCTION_WORDS`; formulas' remains lower it
MIN_FUNCTION_SHARE = 0.08  # of Latin words, below it they are no English prose
MIN_FUNCTION_WORDS = 3  # distinct ones; other languages of the Latin script share two or three of them
MIXED_SHARE = 0.2  # of words, in each of both languages
MIXED_FUNCTION_WORDS = 12  # occurrences: one quoted sentence of English does not make a page mixed
FOREIGN_HAN_SHARE = 0.1  # of words: less Chinese than that, among words that are not English, decides nothing
PLAIN_CHARS = 3_000  # of English prose are enough to know it
PLAIN_HAN = 50  # characters from which, and
PLAIN_RATIO = 20  # times the Latin words from which a text is Chinese whatever its formulas hold
SHORT_WORDS = 12  # a text of as few Latin words, one of them of `_EXERCISE_WORDS`, is an exercise in English
UNKNOWN, MIXED = "und", "mixed"
# pcm: Nigerian Pidgin, as which py3langid reads some English word problems; zxx: no language; wuu, yue, lzh: Chinese
_ALIASES = {"pcm": "en", "zxx": UNKNOWN, "wuu": "zh", "yue": "zh", "lzh": "zh"}
# None is a keyword of a programming language, as `for`, `if`, `and`, `is` are.
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """the of that are we have which be was were they has can there these you our its an such than been would their
        his her he she but what when how into must only some should may will so it to""",
    )
)
_EXERCISE_WORDS = (
    "compute",
    "evaluate",
    "find",
    "simplify",
    "solve",
    "given",
    "let",
    "then",
    "suppose",
    "thus",
    "prove",
)
_NO_PROSE = re.compile(
    r"```(?!\{).*?(?:```|\Z)|`[^`\n]{1,200}`"
    r"|\\begin\{(verbatim|lstlisting|minted|tikzpicture|equation|align|gather|multline|displaymath|array|[pbv]?matrix)\*?\}"
    r".{0,4000}?\\end\{\1\*?\}"
    r"|\$\$.{0,2000}?\$\$|\$[^$\n]{0,300}\$|\\\[.{0,2000}?\\\]|\\\(.{0,300}?\\\)"
    r"|\\(?:begin|end|label|ref|eqref|cite|usepackage|input|includegraphics)\b(?:\[[^\]]*\])?\{[^}]*\}"
    r"|\\[a-zA-Z]+|https?://\S+|<[/a-zA-Z!][^<>\n]{0,300}>|^[^\n\u3000-\uffef]*[;{}][ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_WORD = re.compile(r"[a-z]{2,}")
_LETTER = re.compile(r"[^\W\d_]")
_LONG_WORD = re.compile(r"[^\W\d_]{3,}")
_HAN_BLOCKS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3134F))
_KANA_BLOCK = (0x3040, 0x30FF)


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detect(text: str) -> tuple[str, float]:
    """(ISO 639 code, `mixed` or `und`, certainty in 0 to 1) of a text's prose."""
    sample = _sample(text)
    if found := _plain(sample):
        return found
    prose = _NO_PROSE.sub(" ", sample)
    found = _weigh(prose)
    if found is None and len(text) > SAMPLE_CHARS:
        found = _weigh(_NO_PROSE.sub(" ", text[:WHOLE_CHARS]))
    return found or _by_model(prose)


def _plain(sample: str) -> tuple[str, float] | None:
    """The verdict where formulas and code could not change it: they hold neither function words nor Chinese."""
    han, kana = _east_asian(sample)
    if han + kana == 0:
        return ("en", 1.0) if _english(sample[:PLAIN_CHARS])[1] else None
    chinese = kana <= KANA_SHARE * han and han >= PLAIN_HAN
    return ("zh", 1.0) if chinese and han / HAN_PER_WORD > PLAIN_RATIO * _english(sample)[0] else None


def _weigh(prose: str) -> tuple[str, float] | None:
    """The verdict by scripts and function words, or None where the model is to be asked."""
    han, kana = _east_asian(prose)
    if kana > KANA_SHARE * (han + kana) and han + kana >= MIN_HAN:
        return "ja", 1.0
    total, english, known = _english(prose)
    if han < MIN_HAN and (english or (total <= SHORT_WORDS and known > han)):
        return "en", 1.0 if english else 0.5
    chinese, spoken = han / HAN_PER_WORD, min(total, english / FUNCTION_SHARE)
    if han == 0 or (not english and chinese < FOREIGN_HAN_SHARE * total):
        return None
    share = chinese / (chinese + spoken)
    if english >= MIXED_FUNCTION_WORDS and MIXED_SHARE <= share <= 1 - MIXED_SHARE:
        return MIXED, round(1 - abs(1 - 2 * share), 4)
    return ("zh", round(share, 4)) if share >= 0.5 else ("en", round(1 - share, 4))


def _english(text: str) -> tuple[int, int, int]:
    """(Latin words, function words or 0 where they make no English prose, words of English exercises)."""
    words = Counter(_WORD.findall(text.lower()))
    functions = [n for word, n in words.items() if word in _FUNCTION_WORDS]
    total, english = words.total(), sum(functions)
    prose = english >= MIN_FUNCTION_SHARE * total and len(functions) >= MIN_FUNCTION_WORDS and "the" in words
    return total, english if prose else 0, english + sum(words[word] for word in _EXERCISE_WORDS)


def _sample(text: str) -> str:
    """The middle of a long text, from the start of a line; inside a code block, with its fence."""
    if len(text) <= SAMPLE_CHARS:
        return text
    start = (len(text) - SAMPLE_CHARS) // 2
    start = max(start, text.find("\n", start, start + SAMPLE_CHARS // 4))
    return ("```\n" if text.count("```", 0, start) % 2 else "") + text[start : start + SAMPLE_CHARS]


def _east_asian(prose: str) -> tuple[int, int]:
    """The numbers of Han and kana characters."""
    if prose.isascii():
        return 0, 0
    codes = np.frombuffer(prose.encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = codes[codes >= _KANA_BLOCK[0]]
    kana = int(np.count_nonzero(codes <= _KANA_BLOCK[1]))
    return sum(int(np.count_nonzero((codes >= a) & (codes <= b))) for a, b in _HAN_BLOCKS), kana


def _by_model(prose: str) -> tuple[str, float]:
    letters, in_words = len(_LETTER.findall(prose)), sum(map(len, _LONG_WORD.findall(prose)))
    if letters < MIN_LETTERS or in_words < MIN_WORD_SHARE * letters:
        return UNKNOWN, 0.0
    language, score = _identifier().classify(re.sub(r"[\d\W_]+", " ", prose))
    return _ALIASES.get(language, language), round(float(score), 4)


class Language(BaseFilter):
    """Writes `language` and `language_score`; removes the languages that are not to be kept.

    A `mixed` document stays where both English and Chinese do. Removed: `language:CODE`.
    """

    name = "language"

    def __init__(self, keep: tuple[str, ...] = ("en", "zh"), exclusion_writer: object = None) -> None:
        super().__init__(exclusion_writer)
        self.keep = frozenset(keep) | ({MIXED} if {"en", "zh"} <= set(keep) else frozenset())

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the document's language is one to keep."""
        if doc.metadata.get("source") == "code":
            doc.metadata["language"] = UNKNOWN
            return True
        language, score = detect(doc.text)
        doc.metadata["language"], doc.metadata["language_score"] = language, score
        if language in self.keep:
            return True
        doc.metadata["filter_score"] = score
        return False, f"language:{language}"
