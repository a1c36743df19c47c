"""From what a sample cost to what the whole will cost on so many cores, and how wrong that was the last time."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.plan import Plan
from pipelines.plan_sample import WRITES, PassCost, last_costs, measure, take_sample
from pipelines.progress import Events

DEDUP_BYTES = 450  # of memory for each document that is compared (benchmarks/dedup_memory.py)
_MEBIBYTE = 1 << 20
_ERROR_DIGITS = 3


def estimate(plan: Plan, share: float, cores: int, events: Events) -> dict[str, Any]:
    """Processor and wall seconds, memory and disk of a whole build, stage by stage; docs/scale.md has its limits."""
    with TemporaryDirectory(prefix="mathcorpus-plan-") as folder:
        sample = take_sample(plan, share, Path(folder))
        costs, prepared = measure(sample, plan, events)
        sampled = sum(f.size for f in sample.plan.files)
    last = last_costs(plan)
    return {
        "sample": {"share": share, "bytes": sampled, "factors": sample.factors},
        "documents": round(costs[0].rows),
        "stages": _stages(plan, costs, last),
        "total": _total(plan, costs, prepared, cores),
        "last_build": _errors(costs, last),
    }


def _stages(plan: Plan, costs: Sequence[PassCost], last: Sequence[PassCost | None]) -> list[dict[str, Any]]:
    rows = []
    for one, cost, was in zip(plan.passes, costs, last, strict=True):
        for name in (*(s.name for s in one.stages if s.name in cost.stages), WRITES):
            seconds = cost.stages[name]
            row = {
                "pass": one.folder,
                "kind": one.kind,
                "stage": name,
                "cpu_s": round(seconds, 2),
                "fixed_cpu_s": round(cost.fixed[name], 2),
            }
            if was and name in was.stages:
                row["last_cpu_s"] = round(was.stages[name], 2)
                row["error"] = _error(seconds + cost.fixed[name], was.stages[name])
            rows.append(row)
        rows[-1] |= {"bytes": round(cost.size), "decide_s": round(cost.decide_s, 2)}  # told at a pass's last stage
    return rows


def _total(plan: Plan, costs: Sequence[PassCost], prepared: float, cores: int) -> dict[str, Any]:
    longest = max(sum(f.size for f in group) for group in plan.groups) / sum(f.size for f in plan.files)
    compared = max((c.rows for p, c in zip(plan.passes, costs, strict=True) if p.kind == "reduce"), default=0.0)
    worker = max(c.peak_mb for c in costs)
    driver = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 + compared * DEDUP_BYTES / _MEBIBYTE
    wall = prepared
    for cost in costs:
        grows = sum(cost.stages.values())
        wall += max(grows / cores, grows * longest) + sum(cost.fixed.values()) + cost.decide_s
    workers = min(cores, len(plan.groups))
    fixed = sum(sum(c.fixed.values()) for c in costs)
    return {
        "cores": cores,
        "cpu_s": round(sum(c.cpu_s + c.decide_s for c in costs) + fixed * (workers - 1) + prepared, 1),
        "wall_s": round(wall, 1),
        "prepare_s": round(prepared, 1),
        "disk_bytes": round(sum(c.size for c in costs)),
        "worker_mb": worker,
        "driver_mb": round(driver),
        "memory_mb": round(worker * workers + driver),
    }


def _errors(costs: Sequence[PassCost], last: Sequence[PassCost | None]) -> dict[str, Any] | None:
    """How far the estimate is from the passes of the last build that are on disk, as shares of what they were."""
    both = [(cost, was) for cost, was in zip(costs, last, strict=True) if was]
    if not both:
        return None
    thought, spent = sum(c.cpu_s for c, _ in both), sum(sum(w.stages.values()) for _, w in both)
    sizes = sum(c.size for c, _ in both), sum(w.size for _, w in both)
    return {
        "passes": len(both),
        "cpu_s": round(spent, 1),
        "disk_bytes": round(sizes[1]),
        "cpu_error": _error(thought, spent),
        "disk_error": _error(*sizes),
        "worker_mb": max(w.peak_mb for _, w in both),
    }


def _error(thought: float, was: float) -> float | None:
    return round(thought / was - 1, _ERROR_DIGITS) if was else None


def in_words(found: dict[str, Any]) -> str:
    """The estimate as a table."""
    total, last = found["total"], found["last_build"]
    lines = [f"  {'stage':24} {'CPU s':>10} {'once':>7} {'decides':>8} {'MB on disk':>11} {'last':>10} {'error':>6}"]
    for row in found["stages"]:
        name = f"{row['stage']} (keys)" if row["kind"] == "reduce" else row["stage"]
        decide = f"{row['decide_s']:,.1f}" if row.get("decide_s") else ""
        size = f"{row['bytes'] / 1e6:,.1f}" if "bytes" in row else ""
        was = f"{row['last_cpu_s']:,.1f}" if "last_cpu_s" in row else ""
        error = f"{row['error']:+.0%}" if row.get("error") is not None else ""
        line = (
            f"  {name:24} {row['cpu_s']:10,.1f} {row['fixed_cpu_s']:7,.1f} {decide:>8} {size:>11} {was:>10} {error:>6}"
        )
        lines.append(line.rstrip())
    lines.append(
        f"about {found['documents']:,} documents: {total['cpu_s'] / 3600:,.2f} core hours, {total['wall_s'] / 60:,.1f} "
        f"minutes on {total['cores']} cores, {total['disk_bytes'] / 1e6:,.0f} MB on disk, "
        f"{total['worker_mb']:,} MB a worker, {total['driver_mb']:,} MB in the process that decides"
    )
    if last:
        lines.append(
            f"against the last build ({last['passes']} passes on disk): processor time {last['cpu_error']:+.0%}, "
            f"disk {last['disk_error']:+.0%}"
        )
    return "\n".join(lines)
