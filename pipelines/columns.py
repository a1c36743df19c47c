"""What the columns of a corpus mean, in words: for the dataset card and for Croissant."""

from __future__ import annotations

COLUMNS = {
    "id": "128-bit digest, as 32 hexadecimal digits, of where the document came from",
    "text": "the document: Markdown or the source's own markup, formulas between dollar signs",
    "source": "what it is: web, book, code or synth",
    "url": "address of the page",
    "host": "host of the address",
    "language": "en, zh or another code; mixed for both; und for source code and where no language is certain",
    "licence": "licence as the input stated it",
    "origin": "name of the source, file in it and place in the file",
    "source_id": "the id that the input gave",
    "parents": "ids of the documents that a sample was made of",
    "language_score": "probability of the language",
    "math_score": "probability of the classifier that it is mathematics",
    "code_rule": "rule by which source code was judged",
    "quality_score": "1 where no rule of quality speaks against it, 0 where one all but removed it",
    "lm_score": "probability of a language model that it is worth learning mathematics from",
    "edu_score": "grade of a language model, 0 to 5, for how much it teaches",
    "tokens": "number of tokens",
    "metadata": "what else came with the document, as JSON",
    "part": "part of the mix that took the document",
    "copy": "number of the copy in the mix, from 0",
}
