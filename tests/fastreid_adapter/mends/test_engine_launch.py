"""Several processes without CUDA."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fed_plugin.fastreid_adapter.mends import engine as launch

SCRIPT = """
import sys

import projects_registry
import torch
from torch.nn.parallel import DistributedDataParallel
from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer, default_setup, launch
from fastreid.utils import comm
from types import SimpleNamespace


def main(options):
    cfg = get_cfg()
    cfg.merge_from_list(options)
    default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
    trainer = DefaultTrainer(cfg)
    assert isinstance(trainer.model, DistributedDataParallel)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    results = trainer.train()
    after = [p.detach() for p in trainer.model.parameters()]
    rank, local = comm.get_rank(), comm.get_local_rank()
    print("rank", rank, "of", comm.get_world_size(), "local", local, "of", comm.get_local_size(),
          "threads", torch.get_num_threads(),
          "moved", sum(bool((a != b).any()) for a, b in zip(after, before)),
          "sum", float(sum(p.double().sum() for p in after)),
          "reports", sorted(results or {})[:1], flush=True)
    DistributedDataParallel(torch.nn.Linear(2, 2), device_ids=[local])


if __name__ == "__main__":
    launch(main, int(sys.argv[1]), dist_url=sys.argv[2], args=(sys.argv[3:],))
"""


SECONDS = 180


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def start(tmp_path, market, tiny_options):
    """Return a function that starts a run in processes of its own."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["FASTREID_DATASETS"] = str(market)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)

    def run(ranks, url, launcher=(), variables=None, **overrides):
        options = tiny_options(OUTPUT_DIR=str(tmp_path / "run"), **overrides)
        return subprocess.Popen(
            [sys.executable, *launcher, str(script), str(ranks), url, *options],
            env=environment | (variables or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


def reports(*processes):
    """Wait for processes; return what each rank printed, by rank."""
    found = {}
    for process in processes:
        text, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, text[-3000:]
        for line in text.splitlines():
            if line.startswith("rank "):
                words = line.split()
                found[int(words[1])] = line.split(maxsplit=2)[2]
    return found


def test_two_ranks_train_and_evaluate_one_model_over_gloo(start):
    found = reports(start(2, "auto", **{"DATALOADER.NUM_WORKERS": 1, "SOLVER.AMP.ENABLED": True}))
    threads = max(1, torch.get_num_threads() // 2)
    assert set(found) == {0, 1}
    for rank in (0, 1):
        assert f"of 2 local {rank} of 2 threads {threads} moved 62 " in found[rank]
    assert found[0].split("sum ")[1].split()[0] == found[1].split("sum ")[1].split()[0]
    assert "Rank-1" in found[0]


def test_processes_of_torchrun_are_ranks_of_one_training(start):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    launched = reports(start(2, "auto", **{"DATALOADER.NUM_WORKERS": 1, "SEED": 3}))
    found = reports(start(1, "auto", torchrun, **{"DATALOADER.NUM_WORKERS": 1, "SEED": 3}))
    weights = [
        one[rank].split("sum ")[1].split()[0] for one in (found, launched) for rank in (0, 1)
    ]
    assert len(set(weights)) == 1
    assert [found[rank].split()[:6] for rank in (0, 1)] == [
        ["of", "2", "local", str(rank), "of", "2"] for rank in (0, 1)
    ]


def test_two_machines_of_one_rank_meet_at_the_dist_url(tmp_path):
    code = """
import sys
import projects_registry
projects_registry.host_import_in_progress = lambda: True  # the mends alone, not the whole adapter
from fed_plugin.fastreid_adapter.mends.engine import run_a_gloo_rank
from fastreid.utils import comm

def main(word):
    print(word, comm.get_rank(), comm.get_world_size(), comm.get_local_rank(),
          comm.get_local_size(), comm.all_gather(comm.get_rank()))

run_a_gloo_rank(0, main, 2, 1, int(sys.argv[1]), sys.argv[2], ("ranks",))
"""
    url = f"tcp://127.0.0.1:{free_port()}"
    environment = {**os.environ, "FASTREID_PROJECTS": "off"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(machine), url],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for machine in (0, 1)
    ]
    for rank, machine in enumerate(machines):
        text, _ = machine.communicate(timeout=SECONDS)
        assert machine.returncode == 0, text
        assert f"ranks {rank} 2 0 1 [0, 1]" in text


class TestGuards:
    def test_the_stock_worker_asserts_cuda(self, stock):
        with pytest.raises(AssertionError, match="cuda is not available"):
            stock("fastreid.engine.launch")._distributed_worker(0, print, 2, 2, 0, "", ())

    def test_the_mended_launch_starts_gloo_ranks_by_name(self, stock, monkeypatch):
        module = stock("fastreid.engine.launch")
        assert launch.launch_works_without_cuda(module)
        calls = []
        monkeypatch.setattr(module.mp, "spawn", lambda *args, **kwargs: calls.append(args))
        module.launch(print, 2, args=("x",), dist_url="auto")
        assert calls == [(launch.run_a_gloo_rank,)]
        assert vars(launch)[launch.run_a_gloo_rank.__qualname__] is launch.run_a_gloo_rank

    def test_one_process_is_started_as_ever(self, stock):
        module = stock("fastreid.engine.launch")
        launch.launch_works_without_cuda(module)
        seen = []
        module.launch(seen.append, 1, args=("x",))
        assert seen == ["x"]

    @pytest.mark.parametrize(
        ("variables", "flags", "message"),
        [
            (
                {"RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": "1"},
                (1,),
                "expected MASTER_ADDR, as",
            ),
            ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, (1,), "srun started 2 processes"),
            ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "3"}, (1,), "mpirun started 3"),
            ({"RANK": "0", "WORLD_SIZE": "2"}, (2,), "try --num-gpus without torchrun"),
        ],
    )
    def test_lone_trainings_of_a_launcher_are_refused(
        self, stock, monkeypatch, variables, flags, message
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        module = stock("fastreid.engine.launch")
        assert launch.launch_takes_the_environment_of_torchrun(module)
        with pytest.raises(ValueError, match=message):
            module.launch(pytest.fail, *flags, args=("x",))
        monkeypatch.setattr(module.mp, "spawn", lambda *args, **kwargs: None)
        module.launch(pytest.fail, 1, 2, 0, "tcp://host:1")  # the flags describe all machines

    def test_with_cuda_the_stock_worker_stays(self, stock, monkeypatch):
        module = stock("fastreid.engine.launch")
        before = module._distributed_worker
        monkeypatch.setattr(launch, "cuda_is_available", lambda: True)
        assert launch.launch_works_without_cuda(module) is False
        assert module._distributed_worker is before


class TestDataParallel:
    @pytest.fixture
    def group(self, tmp_path):
        """A process group of one."""
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path}/group", world_size=1, rank=0
        )
        yield
        torch.distributed.destroy_process_group()

    @pytest.fixture
    def as_shipped(self, monkeypatch):
        """PyTorch's class before any mend."""
        wrapped = getattr(DistributedDataParallel.__init__, "__wrapped__", None)
        if wrapped is not None:
            monkeypatch.setattr(DistributedDataParallel, "__init__", wrapped)
        else:
            monkeypatch.setattr(
                DistributedDataParallel, "__init__", DistributedDataParallel.__init__
            )

    def test_the_stock_class_refuses_device_ids_for_a_cpu_model(self, group, as_shipped):
        with pytest.raises(ValueError, match="device_ids"):
            DistributedDataParallel(nn.Linear(2, 2), device_ids=[0])

    def test_the_mended_class_takes_them_and_stays_the_class(self, group, as_shipped, stock):
        module = stock("fastreid.engine.defaults")
        assert launch.ddp_takes_cpu_models(module)
        assert module.DistributedDataParallel is DistributedDataParallel
        model = DistributedDataParallel(nn.Linear(2, 2), device_ids=[0], broadcast_buffers=False)
        assert model.device_ids is None
        assert model.broadcast_buffers is False
        model(torch.ones(1, 2)).sum().backward()
        assert model.module.weight.grad is not None

    def test_with_cuda_and_where_it_is_mended_the_class_is_left_alone(
        self, as_shipped, stock, monkeypatch
    ):
        module = SimpleNamespace(DistributedDataParallel=DistributedDataParallel)
        before = DistributedDataParallel.__init__
        monkeypatch.setattr(launch, "cuda_is_available", lambda: True)
        assert launch.ddp_takes_cpu_models(module) is False
        assert DistributedDataParallel.__init__ is before
        monkeypatch.setattr(launch, "cuda_is_available", lambda: False)
        assert launch.ddp_takes_cpu_models(module)
        assert launch.ddp_takes_cpu_models(stock("fastreid.engine.defaults")) is False
