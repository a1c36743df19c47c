"""Runs Python that a model wrote, where it can do no harm; refuses where this machine cannot wall it in.

Two backends build the same walls: bubblewrap, else Linux namespaces through system calls. Inside there is no network,
no file but the interpreter and its libraries (read-only), no other process, no environment, and no privilege. One
process with sympy and numpy imported stays warm and forks for each run; `sandbox_inside.py` is that process.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import platform
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from filters.errors import UsageError

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
LIBRARIES = ("sympy", "numpy", "numpy.linalg", "numpy.random")  # numpy 2.4 imports its parts when they are used
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/scratch",  # inside; of one run alone
    "TMPDIR": "/scratch",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # the same code prints the same
    "OPENBLAS_NUM_THREADS": "1",  # threads count as processes
    "OMP_NUM_THREADS": "1",
}
GRACE_S = 5.0  # after its time limit a run is answered for within this, or everything inside is killed
START_S = 60.0
CODE_BYTES = 100_000
BACKENDS = ("bubblewrap", "namespaces")

PROBE = """
import ctypes, os, socket
def works(action):
    try:
        action()
    except OSError:
        return False
    return True
libc = ctypes.CDLL(None)
found = {
    "reaches the network": works(lambda: socket.create_connection(("127.0.0.1", PORT), 1)),
    "sees files of the host": os.path.exists(FILE),
    "writes outside its folder": any(works(lambda: open(p + "/probe", "w")) for p in PLACES),
    "sees other processes": os.getpid() != 1 or works(lambda: os.kill(2, 0)) or os.path.exists("/proc/1"),
    "is root": 0 in (os.getuid(), os.geteuid()),
    "can mount": libc.mount(b"tmpfs", b"/scratch", b"tmpfs", 0, None) == 0 or libc.unshare(0x10000000) == 0,
    "sees the environment": "PROBE_SECRET" in os.environ,
}
open("/scratch/left", "x")
print([name for name, hole in found.items() if hole])
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use; memory and files are per process, so a run may hold `processes` times as much."""

    wall_s: float = 10.0
    memory_mb: int = 1024  # of address space, the libraries' 300 included
    processes: int = 8
    output_bytes: int = 65536
    file_mb: int = 1
    tmp_mb: int = 8


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run.

    status : ok, error (an exception or a nonzero exit), timeout, output_cap, oom, or refused (nothing was run).
    stderr : its last 2,000 bytes.
    cpu_ms : of all its processes that it waited for, the walls included.
    """

    status: str
    stdout: str = ""
    stderr: str = ""
    cpu_ms: float = 0.0
    wall_ms: float = 0.0


class Sandbox:
    """Runs code, one run at a time; `with Sandbox() as sandbox: sandbox.run("print(1)")`.

    libraries : imported once, where they are installed; what is not named is imported by each run that wants it.
    Raises UsageError at the start where no backend walls code in: that is tried, by attacks, not assumed.
    """

    def __init__(
        self, limits: Limits | None = None, backend: str | None = None, libraries: tuple[str, ...] = LIBRARIES
    ) -> None:
        self.limits = limits or Limits()
        self.backend = backend or ("bubblewrap" if shutil.which("bwrap") else "namespaces")
        if self.backend not in BACKENDS:
            message = f"sandbox: {self.backend!r} is none of {', '.join(BACKENDS)}."
            raise UsageError(message)
        self._libraries = libraries
        self._inside: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None

    def __enter__(self) -> Sandbox:
        self._start()
        try:
            self._probe()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, code: str, limits: Limits | None = None) -> Run:
        """What came of the code. It starts from nothing: no run sees what another left."""
        if len(code.encode(errors="replace")) > CODE_BYTES:
            return Run("refused", stderr=f"the code is longer than {CODE_BYTES} bytes")
        limits = limits or self.limits
        if self._inside is None:
            self._start()
        line = self._ask(json.dumps({"code": code, **asdict(limits)}), limits.wall_s + GRACE_S)
        if not line:
            self.close()
            return Run("timeout", stderr="no answer from inside: everything there was killed")
        return Run(**json.loads(line))

    def close(self) -> None:
        """Ends all that runs inside."""
        if self._inside is not None:
            with self._inside as inside:  # waits, and closes its pipes
                os.killpg(inside.pid, signal.SIGKILL)  # its first process dies, and with it the namespace
        if self._errors is not None:
            self._errors.close()
        self._inside = self._errors = None

    def _start(self) -> None:
        if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
            self._refuse(f"there is no sandbox for {sys.platform} on {platform.machine()}")
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with the sandbox
        try:
            command = _command(self.backend, self._libraries)
            self._inside = subprocess.Popen(  # noqa: S603 - our own program, walled in
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env=ENVIRONMENT, text=True, encoding="utf-8", cwd="/", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._refuse(str(error))
        if self._ask("", START_S) != "ready\n":
            self._errors.seek(0)
            told = self._errors.read().strip().splitlines()
            self.close()
            self._refuse(told[-1] if told else "nothing answers inside")

    def _ask(self, line: str, seconds: float) -> str:
        """The next line from inside, after `line` where there is one; empty where none comes in time."""
        assert self._inside is not None
        assert self._inside.stdin is not None
        assert self._inside.stdout is not None
        try:
            if line:
                self._inside.stdin.write(line + "\n")
                self._inside.stdin.flush()
        except BrokenPipeError:
            return ""
        ready, _, _ = select.select([self._inside.stdout], [], [], seconds)
        return self._inside.stdout.readline() if ready else ""

    def _probe(self) -> None:
        """Attacks the walls from inside, twice: the second run also finds nothing of the first."""
        with tempfile.NamedTemporaryFile() as file, socket.create_server(("127.0.0.1", 0)) as listener:
            places = ["/", "/usr", "/dev/shm", "/var/tmp", sys.prefix, sys.base_prefix]  # noqa: S108 - to be refused
            values = {"PORT": listener.getsockname()[1], "FILE": file.name, "PLACES": places}
            code = "\n".join(f"{name} = {value!r}" for name, value in values.items()) + PROBE
            for _ in range(2):
                told = self.run(code)
                if told.status != "ok" or told.stdout != "[]\n":
                    self._refuse(f"code inside {told.stdout.strip() or told.stderr.strip()[-200:] or told.status}")
        if self.run("while True: pass", Limits(wall_s=0.2)).status != "timeout":
            self._refuse("an endless loop is not ended")

    def _refuse(self, why: str) -> None:
        message = (
            f"sandbox: {self.backend} does not wall code in on this machine ({why}); nothing is run. "
            "Install bubblewrap and allow user namespaces, or leave out the steps that run code."
        )
        raise UsageError(message)


def _command(backend: str, libraries: tuple[str, ...]) -> list[str]:
    """What starts the process inside."""
    text = importlib.resources.files("synth").joinpath("sandbox_inside.py").read_text(encoding="utf-8")
    links = [(path, os.readlink(path)) for path in SYSTEM if Path(path).is_symlink()]
    system = [path for path in SYSTEM if Path(path).is_dir() and not Path(path).is_symlink()]
    python = sorted({os.path.realpath(path) for path in (sys.base_prefix, sys.prefix)} | {sys.base_prefix, sys.prefix})
    python = [path for path in python if not path.startswith(tuple(f"{p}/" for p in system)) and path not in system]
    binds = [*system, *(path for path in SYSTEM_FILES if Path(path).exists()), *python]
    options = {"build": backend == "namespaces", "binds": binds, "links": links, "libraries": libraries}
    inside = [sys.executable, "-s", "-P", "-c", text, json.dumps(options)]
    if backend == "namespaces":
        return inside
    walls = ["bwrap", "--unshare-all"]
    if os.getuid() == 0:  # it makes itself nobody once it has mounted /proc
        walls = ["bwrap", "--unshare-net", "--unshare-ipc", "--unshare-pid", "--unshare-uts"]
        walls += [word for right in ("SYS_ADMIN", "SETUID", "SETGID") for word in ("--cap-add", f"CAP_{right}")]
    for folder in sorted({str(parent) for path in binds for parent in Path(path).parents} - {"/"}):
        walls += ["--perms", "0755", "--dir", folder]  # or bubblewrap makes /root and others that nobody may pass
    for path in binds:
        walls += ["--ro-bind", path, path]
    for path, target in links:
        walls += ["--symlink", target, path]
    walls += ["--proc", "/proc", "--dev", "/dev", "--dir", "/scratch", "--remount-ro", "/dev", "--remount-ro", "/"]
    return [*walls, *inside]
