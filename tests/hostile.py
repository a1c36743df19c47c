"""Text that tries to be more than text, and a build in which every string that a document can bring is such."""

from __future__ import annotations

from pathlib import Path

from fake_build import STAGES, doc, line, write_build

PAYLOADS = (
    "<script>ran(1)</script>",
    "</script>",
    "</style></svg></title></textarea></dialog>",
    '"><img src=http://evil.test/a onerror=ran(2)>',
    "'><svg onload=ran(3)><animate onbegin=ran(4) attributeName=x>",
    "<math><mtext><style><img src=http://evil.test/b onerror=ran(5)></style></mtext></math>",
    "<iframe srcdoc='<script>parent.ran(6)</script>'></iframe><link rel=stylesheet href=http://evil.test/c>",
    "<form action=http://evil.test/d><button formaction=javascript:ran(7)>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/e'><base href=http://evil.test/>",
    "{{7*7}}{% raw %}",
    "javascript:ran(8)",
    "nul \x00 bidi \u202e",
)
HOSTILE = "".join(PAYLOADS)


def hostile_build(root: Path) -> Path:
    """The build; its documents are k1, which was kept, and r1 to r4."""
    common = {"text": HOSTILE, "url": f"javascript:ran(9)//{HOSTILE}", "host": HOSTILE, "language": HOSTILE}
    common |= {"licence": HOSTILE, "source": HOSTILE, "origin": HOSTILE, "tokens": 9, "math_score": 0.5}
    pair = line("r1", HOSTILE, 0, 0.9, split=HOSTILE, field=HOSTILE, doc_text=HOSTILE, item_text=f"item {HOSTILE}")
    pair |= {"origin": HOSTILE, "class": HOSTILE}
    copy = {"kept": "k1", "similarity": 0.9}
    docs = [
        {**doc("k1"), **common},
        {**doc("r1"), **common, "stage": "decontaminate", "reason": f"contaminated:{HOSTILE}", "evidence": [pair]},
        {**doc("r2"), **common, "stage": "minhash_dedup", "reason": HOSTILE, "evidence": [copy]},
        {**doc("r3"), **common, "stage": "quality", "reason": HOSTILE, "evidence": [{HOSTILE: HOSTILE}]},
        {**doc("r4"), **common, "stage": HOSTILE, "reason": HOSTILE},
    ]
    return write_build(root, docs, stages=(*STAGES, HOSTILE))
