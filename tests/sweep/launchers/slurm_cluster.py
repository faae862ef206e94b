"""A SLURM cluster of this machine alone, for tests: started in a folder, ended by process id."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol")

# Two partitions over the one node: what comes to `urgent` drives out what runs in `main`.
CONF = """
ClusterName=vaelab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
ReturnToService=2
MpiDefault=none
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
"""


def missing():
    """Why no cluster can be started here, or None."""
    programs = [name for name in PROGRAMS if not _program(name)]
    if programs:
        return f"a SLURM cluster needs {', '.join(programs)} (apt: slurmctld slurmd munge)"
    if os.geteuid() != 0:
        return "slurmctld and slurmd are started as root here"
    return None


@contextmanager
def cluster(folder):
    """A running cluster whose node is idle; SLURM_CONF names it meanwhile."""
    folder = Path(folder)
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=socket.gethostname(), folder=folder, ports=_free_ports(2)))
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    started = []
    try:
        for arguments in (
            ["munged", "--foreground", "--force", f"--key-file={key}", "--num-threads=2"]
            + [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in
               ("socket", "pid-file", "log-file", "seed-file")],
            ["slurmctld", "-D", "-f", str(conf)],
            ["slurmd", "-D", "-f", str(conf)],
        ):  # fmt: skip
            with (folder / f"{arguments[0]}.out").open("w") as out:
                arguments[0] = _program(arguments[0])
                started.append(subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT))
        _wait_for_idle(started, folder)
        yield conf
    finally:
        with suppress(subprocess.SubprocessError):
            subprocess.run(["scancel", "--me"], timeout=20, capture_output=True)
            until(lambda: not asked("squeue", "--me", "-h"), 20)
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def asked(*arguments):
    """What a program of SLURM answers."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


def until(condition, seconds, what="it"):
    """Wait for a condition; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return value


def _wait_for_idle(started, folder):
    def idle():
        ended = [process.args[0] for process in started if process.poll() is not None]
        assert not ended, f"{ended} ended; see {folder}"
        return asked("sinfo", "-h", "-o", "%T", "-p", "main") == "idle"

    until(idle, 60, "an idle node")


def _program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
