"""Language of a text: by script where that is certain, else by py3langid, whose model comes in its package.

Formulas, commands, numbers and signs are taken out first: they are what makes detectors call a page of algebra Latin,
Norwegian or "no language". Source code passes as `und`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from py3langid.langid import MODEL_FILE, LanguageIdentifier

LANGUAGE_VERSION = "language-1"
SAMPLE_CHARS = 8_000  # from the middle, where there is less navigation than at either end
HAN_SHARE = 0.25  # of letters: a Chinese text with English terms and variables stays above it
KANA_SHARE = 0.05  # of Han and kana together: no Japanese text has less, Chinese ones quote a word or two
MIN_LETTERS = 20  # fewer letters than that are no evidence of a language
UNKNOWN = "und"
# pcm: Nigerian Pidgin, as which py3langid reads some English word problems; zxx: no language; wuu, yue, lzh: Chinese
_ALIASES = {"pcm": "en", "zxx": UNKNOWN, "wuu": "zh", "yue": "zh", "lzh": "zh"}

_NO_PROSE = re.compile(
    r"\$\$.{0,2000}?\$\$|\$[^$\n]{0,300}\$|\\\[.{0,2000}?\\\]|\\\(.{0,300}?\\\)|\\[a-zA-Z]+|https?://\S+|[\d\W_]+",
    re.DOTALL,
)
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_KANA = re.compile(r"[\u3040-\u30ff]")


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detect(text: str) -> tuple[str, float]:
    """(ISO 639 code or `und`, certainty in 0 to 1) of a text's prose."""
    prose = _NO_PROSE.sub(" ", _middle(text))
    letters = len(prose) - prose.count(" ")
    if letters < MIN_LETTERS:
        return UNKNOWN, 0.0
    han, kana = len(_HAN.findall(prose)), len(_KANA.findall(prose))
    if kana > KANA_SHARE * (han + kana) and han + kana >= HAN_SHARE * letters:
        return "ja", 1.0
    if han >= HAN_SHARE * letters:
        return "zh", 1.0
    language, score = _identifier().classify(prose)
    return _ALIASES.get(language, language), round(float(score), 4)


def _middle(text: str) -> str:
    start = max(0, (len(text) - SAMPLE_CHARS) // 2)
    return text[start : start + SAMPLE_CHARS]


class Language(BaseFilter):
    """Writes `language` and `language_score`; removes the languages that are not to be kept.

    Removed: `language:CODE`.
    """

    name = "language"

    def __init__(self, keep: tuple[str, ...] = ("en", "zh"), exclusion_writer: object = None) -> None:
        super().__init__(exclusion_writer)
        self.keep = frozenset(keep)

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
