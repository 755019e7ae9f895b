"""The examples of docs/control.md for events: real shells, programs and servers."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from daemon.control.lock import single_instance_lock
from daemon.control.protocol import Request, socket_path
from daemon.control.server import ControlServer
from daemon.control.subscriber import Subscriber
from tests.daemon.wyoming.peers import free_port
from tests.support.program import ROOT

EVENTS = (
    {"event": "seed", "turn": 1, "text": 'the "old" fox\'s $HOME `date`'},
    {"event": "sentence", "turn": 1, "text": "狐狸 said: 100 %\\n"},
    {"event": "sounding", "turn": 1, "number": 1},
    {"event": "ended", "turn": 1, "outcome": "completed"},
)


def examples() -> list[str]:
    """The commands of the section, with the program under test."""
    text = (ROOT / "docs" / "control.md").read_text("utf-8")
    section = text.partition("\n## Events for other programs\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
    assert len(blocks) == 2
    program = f"{sys.executable} -m daemon follow"
    return [block.replace("afterword follow", program) for block in blocks]


@contextmanager
def daemon_with(events: Sequence[dict[str, object]], ready: threading.Event) -> Iterator[None]:
    """A control socket that gives the events to each follower once `ready` is set."""

    def ask(request: Request, subscriber: Subscriber | None) -> dict[str, object]:
        assert subscriber is not None

        def push() -> None:
            ready.wait(60)
            for event in events:
                subscriber.push(event)

        threading.Thread(target=push, daemon=True).start()
        return {}

    path = socket_path()
    with single_instance_lock(path), closing(ControlServer(path, ask)):
        yield


@contextmanager
def shell(command: str) -> Iterator[None]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(["bash", "-c", command], env=environment)
    try:
        yield
    finally:
        process.terminate()  # the rest ends with the daemon
        process.wait(20)


@pytest.mark.slow
def test_a_webhook_gets_the_events_without_words() -> None:
    if missing := [name for name in ("bash", "curl", "jq") if not shutil.which(name)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    got: list[dict[str, object]] = []
    has_all = threading.Event()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/api/webhook/afterword"
            assert self.headers["Content-Type"] == "application/json"
            got.append(json.loads(body))
            self.send_response(200)
            self.end_headers()
            if len(got) == 2:
                has_all.set()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        command = examples()[1].replace("localhost:8123", f"127.0.0.1:{server.server_port}")
        ready = threading.Event()
        ready.set()
        with daemon_with(EVENTS, ready), shell(command):
            assert has_all.wait(100)
        server.shutdown()
    assert got == [*EVENTS[2:]]


@pytest.mark.slow
def test_a_broker_gets_every_event() -> None:
    mosquitto = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if mosquitto is None or not shutil.which("mosquitto_pub"):
        pytest.skip("not installed: mosquitto and mosquitto-clients")
    port = str(free_port())
    with subprocess.Popen([mosquitto, "-p", port], stderr=subprocess.PIPE, text=True) as broker:
        assert broker.stderr is not None
        while "running" not in broker.stderr.readline():
            assert broker.poll() is None
        ready = threading.Event()
        wanted = ["-d", "-C", str(len(EVENTS)), "-W", "100", "-F", "%j", "-t", "afterword/events"]
        command = examples()[0].replace("-h localhost", f"-h 127.0.0.1 -p {port}")
        with (
            subprocess.Popen(
                ["mosquitto_sub", "-h", "127.0.0.1", "-p", port, *wanted],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            ) as reader,
            daemon_with(EVENTS, ready),
            shell(command),
        ):
            assert reader.stdout is not None
            lines = []
            for line in reader.stdout:
                if "Subscribed" in line:
                    ready.set()
                if line.startswith("{"):
                    lines.append(json.loads(line))
        broker.terminate()
    assert [json.loads(line["payload"]) if isinstance(line["payload"], str) else line["payload"]
            for line in lines] == [*EVENTS]  # fmt: skip
