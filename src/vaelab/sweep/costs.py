"""What a sweep will take, told before it starts: jobs, hours and disk."""

from collections.abc import Sequence

from vaelab.runs.status import State
from vaelab.sweep.jobs import Job
from vaelab.sweep.methods import Method, methods

MANY = 20  # jobs; of fewer the first one soon tells


def costs(jobs: Sequence[Job], num_at_once: int | None) -> str:
    """The plan of a sweep as text: what is finished, and hours and disk of what is not.

    Finished jobs of a method tell how long one takes, its metrics included; of other methods some
    steps are timed on this machine.

    Args:
        jobs: all of them.
        num_at_once: how many run at once; None if a cluster decides.
    """
    num_finished = sum(job.state == State.FINISHED for job in jobs)
    head = f"{len(jobs):,} jobs: {num_finished:,} finished, {len(jobs) - num_finished:,} to run"
    found = methods(jobs, num_at_once or 1)
    if not found:
        return head
    hours = sum(method.seconds for method in found) / 3600
    num_bytes = sum(method.num_jobs * method.num_bytes for method in found)
    together = "as many at once as the cluster runs"
    if num_at_once:
        together = f"{hours / num_at_once:,.1f} hours with {num_at_once} at once"
    caveats = [
        "; without those not timed" * any(m.seconds_per_step is None for m in found),
        "; metrics after training come on top where none has finished"
        * any(m.source == "timed now" for m in found),
    ]
    return "\n".join(
        [
            head,
            f"  {'method':<28} {'jobs':>6} {'steps each':>11} {'steps/s':>8} {'hours each':>11}",
            *map(_row, found),
            f"  time  {hours:,.1f} hours one after another, {together}{''.join(caveats)}",
            f"  disk  {num_bytes / 1e9:,.1f} GB",
        ]
    )


def _row(method: Method) -> str:
    num, step = method.num_jobs, method.seconds_per_step
    speed = f"{'?':>8} {'?':>11}"
    if step is not None:
        speed = f"{1 / step:>8,.1f} {method.seconds / num / 3600:>11,.2f}"
    return f"  {method.name:<28} {num:>6,} {method.num_steps // num:>11,} {speed}  {method.source}"
