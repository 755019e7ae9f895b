"""Training on two hosts, of which one is lost: two network namespaces stand for them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from config.errors import LostProcessError
from model.checkpoints.training_state import load_state
from model.train.command import train as main
from tests.model.made import story_text

ROOT = Path(__file__).parents[3]
ADDRESSES = ("10.213.7.1", "10.213.7.2")
ARGUMENTS = ["--preset", "tiny", "--context", "32", "--batch", "4", "--precision", "fp32"]
ARGUMENTS += ["--device", "cpu", "--validate-every", "100000"]


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"network namespaces are not permitted here: {done.stderr.strip()}")


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two namespaces, joined by a cable of which each end is called `cable`."""
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed")
    names = (f"afterword-{os.getpid()}-a", f"afterword-{os.getpid()}-b")
    with ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=True)
            stack.callback(kill_all, name)
        ip("-n", names[0], "link", "add", "cable", "type", "veth", "peer", "cable", "netns",
           names[1])  # fmt: skip
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
            # A lost host is noticed after 3 repetitions, some 3 s, instead of 15, a quarter hour.
            setting = "echo 3 > /proc/sys/net/ipv4/tcp_retries2"
            ip("netns", "exec", name, "sh", "-c", setting)
        yield names


def kill_all(host: str) -> None:
    """Kill the processes in a namespace; torchrun's are of several sessions."""
    found = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True)
    for process in found.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)


def torchrun(host: str, rank: int, *arguments: object) -> subprocess.Popen[str]:
    """Start a training of two processes, one of which is in this namespace."""
    command = ["ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run"]
    command += ["--nnodes=2", f"--node_rank={rank}", "--nproc_per_node=1"]
    command += [f"--master_addr={ADDRESSES[0]}", "--master_port=29511", "-m", "model.train"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "GLOO_SOCKET_IFNAME": "cable"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def steps_in(log: Path) -> list[int]:
    lines = log.read_text().splitlines() if log.is_file() else []
    return [entry["step"] for entry in map(json.loads, lines) if "loss" in entry]


def test_a_lost_host_ends_the_training_in_a_sentence_and_it_resumes(
    hosts: tuple[str, str], tmp_path: Path
) -> None:
    corpus, out = tmp_path / "stories.txt", tmp_path / "out"
    corpus.write_text(story_text())
    given = ("--corpus", corpus, "--out", out, *ARGUMENTS)
    kept = torchrun(hosts[0], 0, *given, "--steps", 100_000)
    lost = torchrun(hosts[1], 1, *given, "--steps", 100_000)
    deadline = time.monotonic() + 200
    while not steps_in(out / "log.jsonl"):
        assert kept.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ip("-n", hosts[1], "link", "set", "cable", "down")  # before it can say goodbye
    kill_all(hosts[1])
    lost.communicate()
    _, errors = kept.communicate(timeout=90)
    assert re.search(r"^Error: Another of the 2 processes .* --resume\.$", errors, re.M), errors
    assert f"exitcode  : {LostProcessError.exit_code}" in errors
    done = steps_in(out / "log.jsonl")
    assert load_state(out / "last.pt")["step"] == done[-1] > 0  # not a step is lost
    more = done[-1] + 3
    result = CliRunner().invoke(main, [str(a) for a in (*given, "--steps", more, "--resume")])
    assert result.exit_code == 0, result.output
    assert steps_in(out / "log.jsonl") == list(range(1, more + 1))
