"""What runs inside the sandbox: builds the root where bubblewrap has not, imports libraries once, forks for each run.

It is handed to Python as text (`-c`), since nothing of this project is visible inside; so it imports the standard
library alone. One line of JSON asks for a run, one line answers. Each run is the first process of namespaces of its
own (user, mount, pid, ipc): when it ends or is killed, the kernel ends whatever it started and takes its files away.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import platform
import random
import resource
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

NEW_USER, NEW_MOUNTS, NEW_PIDS, NEW_NET, NEW_IPC, NEW_NAMES = (
    0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000,
)  # fmt: skip
NO_SUID, NO_DEVICES, BIND, RECURSIVE, PRIVATE = 2, 4, 4096, 16384, 1 << 18
DETACH = 2
DROP_BOUND_CAPABILITY, SET_DUMPABLE, NO_NEW_PRIVILEGES = 24, 4, 38  # of prctl(2)
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}  # glibc has no function for it
MOUNT_SETATTR, READ_ONLY, WHOLE_TREE = 442, 1, 0x8000
CAPABILITY_VERSION_3 = 0x20080522
NOBODY = 65534
SCRATCH = "/scratch"  # not /tmp, where the interpreter itself may be
OUT_OF_MEMORY = 77  # exit code of a run that met MemoryError
NOT_SET_UP = 78  # exit code of a run whose walls could not be built: nothing of the code ran
STDERR_KEPT = 2000  # bytes, the last
READ_BYTES = 65536

libc = ctypes.CDLL(None, use_errno=True)


def must(result: int, what: str) -> None:
    """Raises OSError where a C call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    must(
        libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode() or None), f"mount {target}"
    )


def own_namespaces(flags: int) -> None:
    """Leaves the namespaces of `flags`; in a new user namespace, this user is nobody and has no groups."""
    user, group = os.getuid(), os.getgid()
    must(libc.unshare(flags), "unshare")
    if flags & NEW_USER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def build_root(binds: list[str], links: list[tuple[str, str]]) -> None:
    """A root of `binds`, read-only, with devices that hold nothing; what is not bound does not exist any more."""
    mount("none", "/", "", PRIVATE | RECURSIVE)
    root = "/tmp"  # noqa: S108 - only the place where the new root is mounted, for this process alone
    binds = [*binds, *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))]
    descriptors = [(path, os.open(path, os.O_PATH)) for path in binds]  # some may lie under the place itself
    mount("tmpfs", root, "tmpfs", NO_SUID | NO_DEVICES, "mode=0755,size=1m")
    for path, descriptor in descriptors:
        target = Path(root + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        mount(f"/proc/self/fd/{descriptor}", str(target), "", BIND | RECURSIVE)
        os.close(descriptor)
    for name, value in links:
        Path(root + name).symlink_to(value)
    for name in ("/proc", SCRATCH):
        Path(root + name).mkdir(exist_ok=True)
    mount("proc", f"{root}/proc", "proc", NO_SUID | NO_DEVICES)
    os.chdir(root)
    must(libc.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    must(libc.umount2(b".", DETACH), "umount")
    os.chdir("/")
    read_only("/", WHOLE_TREE)
    read_only("/proc", 0, clear=True)  # the limit on namespaces is written there, for each run


def read_only(path: str, how: int, *, clear: bool = False) -> None:
    """mount_setattr(2): sets, or clears, read-only on a mount."""
    values = (ctypes.c_uint64 * 4)(0 if clear else READ_ONLY, READ_ONLY if clear else 0, 0, 0)
    must(libc.syscall(MOUNT_SETATTR, -100, path.encode(), how, ctypes.byref(values), 32), f"read-only {path}")


def become_nobody() -> None:
    """Where this is root: no more. Limits on processes do not bind root, in whatever namespace."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    must(libc.prctl(SET_DUMPABLE, 1, 0, 0, 0), "prctl")  # or /proc/self belongs to root


def drop_rights() -> None:
    """No capability now or later."""
    for capability in range(64):
        if libc.prctl(DROP_BOUND_CAPABILITY, capability, 0, 0, 0) < 0:
            break  # past the last that this kernel knows
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    must(libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())), "capset")
    must(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")


def set_limits(asked: dict[str, Any]) -> None:
    """Limits of each process of the run, as numbers of setrlimit(2)."""
    mega = 1 << 20
    seconds = int(asked["wall_s"]) + 1
    for kind, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, asked["memory_mb"] * mega),
        (resource.RLIMIT_FSIZE, asked["file_mb"] * mega),
        (resource.RLIMIT_NPROC, asked["processes"]),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def run_code(code: str) -> int:
    """Runs the code as a program would; its exit code."""
    random.seed(0)  # the same code prints the same
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    try:
        exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102 - what all this is for
    except MemoryError:
        sys.stderr.write("MemoryError\n")
        return OUT_OF_MEMORY
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(end.code)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - told to the caller as it would be on a terminal
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(error.with_traceback(frames))
        return 1
    return 0


def first_process(asked: dict[str, Any], out: int, errors: int) -> NoReturn:
    """The run itself, as process 1 of its namespaces: ends in its exit code."""
    code = NOT_SET_UP
    try:
        empty = os.open("/dev/null", os.O_RDONLY)
        for descriptor, place in ((empty, 0), (out, 1), (errors, 2)):
            os.dup2(descriptor, place)
        os.closerange(3, 4096)
        sys.stdin, sys.stdout, sys.stderr = (
            open(place, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            for place, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        os.setsid()
        os.chdir(SCRATCH)
        set_limits(asked)
        drop_rights()
        code = 1
        code = run_code(asked["code"])
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - of our own, and nothing is above this to tell it to
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code & 255)


def keeper(asked: dict[str, Any], out: int, errors: int, told: int) -> NoReturn:
    """Makes the namespaces of one run, starts its first process, waits; tells the process id, then status and CPU."""
    try:
        own_namespaces(NEW_USER | NEW_MOUNTS | NEW_PIDS | NEW_IPC)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")  # in a namespace of its own it could mount again
        Path("/proc/self/oom_score_adj").write_text("1000")
        mount("tmpfs", SCRATCH, "tmpfs", NO_SUID | NO_DEVICES, f"size={asked['tmp_mb']}m,nr_inodes=1000,mode=0700")
        mount("tmpfs", "/proc", "tmpfs", NO_SUID | NO_DEVICES, "size=4k,mode=0500")  # processes, kernel: not its affair
        child = os.fork()
        if child == 0:
            os.close(told)
            first_process(asked, out, errors)
        os.close(out)
        os.close(errors)
        os.write(told, f"{child}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(told, f"{status}\n".encode())
        os._exit(0)
    except OSError as error:
        os.write(told, f"0\nno walls: {error}\n".encode())
    finally:
        os._exit(NOT_SET_UP)


def read_until(ends: dict[int, bytearray], asked: dict[str, Any], deadline: float) -> str:
    """Fills `ends` until both are closed; else the reason to stop: timeout or output_cap."""
    out = min(ends)
    unread = set(ends)
    seen = 0
    while unread:
        ready, _, _ = select.select(sorted(unread), [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return "timeout"
        for end in ready:
            data = os.read(end, READ_BYTES)
            if not data:
                unread.discard(end)
            seen += len(data)
            ends[end] += data
            if end != out:
                del ends[end][:-STDERR_KEPT]
        if seen > asked["output_bytes"]:
            return "output_cap"
    return ""


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """One run, from its fork to what came of it."""
    started = time.monotonic()
    (out, out_in), (errors, errors_in), (told, told_in) = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        keeper(asked, out_in, errors_in, told_in)
    for end in (out_in, errors_in, told_in):
        os.close(end)
    with open(told, encoding="utf-8") as line_by_line:
        first = int(line_by_line.readline() or 0)
        ends = {out: bytearray(), errors: bytearray()}
        stopped = read_until(ends, asked, started + asked["wall_s"]) if first else ""
        if stopped:
            os.kill(first, signal.SIGKILL)
        last = line_by_line.readline().strip()
        used = os.wait4(child, 0)[2]
    for end in ends:
        os.close(end)
    return {
        "status": stopped or name_of(last),
        "stdout": ends[out][: asked["output_bytes"]].decode(errors="replace"),
        "stderr": ends[errors].decode(errors="replace") if first else last,
        "cpu_ms": (used.ru_utime + used.ru_stime) * 1000,
        "wall_ms": (time.monotonic() - started) * 1000,
    }


def name_of(status: str) -> str:
    """What an exit code means; the run is killed from here or by its own limits, never from outside."""
    if status in (str(NOT_SET_UP), "") or status.startswith("no walls"):
        return "refused"
    number = int(status)
    if number in (-signal.SIGXCPU, -signal.SIGKILL):
        return "timeout" if number == -signal.SIGXCPU else "oom"
    return {0: "ok", OUT_OF_MEMORY: "oom"}.get(number, "error")


def serve(libraries: list[str]) -> None:
    """Answers requests until there are no more."""
    for name in libraries:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # a collection after the fork would copy every page that holds an object
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Builds the walls that the options ask for, then serves."""
    options = json.loads(sys.argv[1])
    if options["build"]:
        own_namespaces(NEW_MOUNTS | NEW_PIDS | NEW_NET | NEW_IPC | NEW_NAMES | (NEW_USER if os.getuid() else 0))
        child = os.fork()
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        build_root(options["binds"], options["links"])
    elif os.getuid() == 0:
        mount("proc", "/proc", "proc", NO_SUID | NO_DEVICES)  # bubblewrap gives root one that is partly read-only
    become_nobody()
    serve(options["libraries"])


if __name__ == "__main__":
    main()
