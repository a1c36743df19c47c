"""Packs a dataset and kills itself: python pack_killed.py CORPUS TOKENIZER COUNT_FILE OUT=SYNCS...

A process for each OUT, which dies at the SYNCS-th time that something is brought to disk, before it is; 0 for never. Each
file that is committed is such a time, and so is its entry in the folder.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from pipelines import pack as packing
from pipelines import pack_tokens
from pipelines.engine import InlineEngine
from pipelines.pack import Options, Steps, pack
from pipelines.pack_inputs import given_tokenizer


def run(corpus: str, tokenizer: str, count: str, out: str, at: int) -> None:
    """One run; how often something was brought to disk."""
    packing.BUCKET_TOKENS, pack_tokens.RUN_TOKENS = 1500, 700
    seen, plain = 0, os.fsync

    def fsync(handle: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(handle)

    os.fsync = fsync
    pack(Path(corpus), Path(out), given_tokenizer(tokenizer, Path()), Options(64), InlineEngine, Steps())
    Path(count).write_text(str(seen))


def main() -> None:
    """All runs, one after another."""
    for pair in sys.argv[4:]:
        out, _, at = pair.rpartition("=")
        child = os.fork()
        if not child:
            run(*sys.argv[1:4], out, int(at))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
            sys.exit(1)


if __name__ == "__main__":
    main()
