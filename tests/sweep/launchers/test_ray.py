"""Jobs on a Ray cluster of two nodes, of which one is lost."""

import json
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from vaelab.cli.hydra_app import CONF
from vaelab.errors import UserError
from vaelab.sweep.jobs import Job, plan
from vaelab.sweep.launchers import Ray
from vaelab.sweep.run import final_state

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """(the cluster, its nodes by the number that their processes find in NODE)"""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        small = {"include_dashboard": False, "object_store_memory": 80_000_000}
        # A lost node is noticed after a second instead of half a minute.
        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
        system = {"_system_config": quick | {"health_check_failure_threshold": 2}}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small, **system})
        nodes = {}
        for number in ("1", "2"):
            patch.setenv("NODE", number)
            nodes[number] = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        yield cluster, nodes
        cluster.shutdown()


def node_of(job):
    """The node that runs the job's process, or None."""
    status = job.folder.status()
    try:
        environment = Path(f"/proc/{status['pid']}/environ").read_text().split("\0")
    except OSError:
        return None
    variables = dict(one.split("=", 1) for one in environment if "=" in one)
    return variables.get("NODE") if status["state"] == "running" else None


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_lost_node_and_a_failure_leave_the_other_jobs(cluster, tiny, tmp_path):
    cluster, nodes = cluster
    combinations = [
        ["num_steps=1000", "val_every_n_steps=50"],
        ["data.root=nowhere.npy"],
        ["seed=1"],
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        jobs = plan(tmp_path / "sweep", [[*tiny, *overrides] for overrides in combinations], tiny)
    long, missing, short = jobs
    seen, over, killed = {}, threading.Event(), []

    def watch():
        while not over.wait(0.05):
            for job in jobs:
                seen.setdefault(job.id, set()).add(node_of(job))
            if not killed and long.folder.last_checkpoint.exists() and node_of(long):
                killed.append(node_of(long))
                cluster.remove_node(nodes[killed[0]], allow_graceful=False)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        ended = {done.job.id: final_state(done) for done in Ray(cluster.address).launch(jobs)}
    finally:
        over.set()
        thread.join()
    assert ended[missing.id] == "failed"
    assert "data.root expects a .npy or .npz file of images" in missing.folder.status()["error"]
    assert ended[long.id] == ended[short.id] == "finished"
    assert len(killed) == 1
    assert set.union(*seen.values()) == {"1", "2", None}
    assert seen[long.id] == {"1", "2", None}
    assert len(json.loads(long.folder.provenance.read_text())) == 2
    assert long.folder.read_metrics()["num_steps"] == 1000


class TwoGPUs:
    """All that is asked of Ray to know what a job needs."""

    def cluster_resources(self):
        return {"CPU": 4.0, "GPU": 2.0}


def test_a_job_has_the_cores_that_ray_keeps_and_a_gpu_if_it_takes_one(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # of this machine
    monkeypatch.setenv("VAELAB_DATA_DIR", "/data")
    job = Job("0", tmp_path, ())
    launcher = Ray(num_cpus=4)
    needs, threads = [], []
    for trainer in ("accelerator: cpu, devices: 1", "accelerator: auto, devices: 2"):
        job.folder.config.write_text(f"trainer: {{{trainer}}}\n")
        environment = launcher._environment(job)
        assert environment["VAELAB_DATA_DIR"] == "/data"
        needs.append(launcher._needs(TwoGPUs(), job)["GPU"])
        threads.append(environment["OMP_NUM_THREADS"])
    assert (needs, threads) == ([0, 2], ["4", "2"])


def test_an_address_where_nobody_answers_is_rejected_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UserError, match=f"a Ray cluster that answers, got {address}"):
            next(iter(Ray(address).launch(iter(()))))
    assert time.monotonic() - began < 10


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'vaelab\[ray\]'"):
        next(iter(Ray().launch(iter(()))))
