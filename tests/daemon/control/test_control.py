"""The control socket in front of a real main loop with fake components."""

import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from audio.events import Event, Seed, Triggered
from config.errors import (
    AudioDeviceError,
    ControlError,
    NotRunningError,
    OutputError,
    RefusedError,
)
from daemon import mute
from daemon.control import client, protocol
from daemon.control import server as control_module
from daemon.control.lock import single_instance_lock
from daemon.control.server import ControlServer
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from daemon.loop.request_handler import RequestHandler
from daemon.observers.console import Console
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput
from tests.support.program import afterword

EXCHANGE: list[Event] = [Triggered("hey computer", 0.1), Seed("a fox", 0.2)]


@contextmanager
def serving(loop: MainLoop) -> Iterator[None]:
    """The loop in a thread, behind the socket."""
    thread = threading.Thread(target=loop.run)
    path = protocol.socket_path()
    with single_instance_lock(path), closing(ControlServer(path, loop.inbox.ask)):
        thread.start()
        try:
            yield
        finally:
            loop.stop()
            thread.join(5)
    assert not thread.is_alive()


def options(muted: bool = False) -> LoopOptions:
    return LoopOptions(muted=muted, save_muted=mute.remember, status_info={"pid": os.getpid()})


def microphone() -> Source:
    return Source(1_000_000, live=True, seconds_each=0.01)


@pytest.fixture
def source() -> Source:
    return microphone()


@pytest.fixture
def speech() -> SpeechOutput:
    return SpeechOutput(0.05)


@pytest.fixture
def daemon(source: Source, speech: SpeechOutput) -> Iterator[MainLoop]:
    recognition = Recognition({100: EXCHANGE})
    loop = MainLoop(source, recognition, Generator(), speech, options=options())
    with serving(loop):
        yield loop


def wait_until(wanted: str, key: str = "state") -> None:
    deadline = time.monotonic() + 5
    while (found := client.ask("status")[key]) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def send(data: bytes, *, end: bool = False) -> dict[str, object]:
    """Send these bytes and return the answer."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(protocol.socket_path()))
        try:
            raw.sendall(data)
            if end:
                raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server answered before all was sent
        answer = json.loads(raw.makefile("rb").readline())
        assert isinstance(answer, dict)
        return answer


def test_status_counts_triggers_and_replies(daemon: MainLoop, speech: SpeechOutput) -> None:
    wait_until("speaking")
    wait_until("listening")
    found = client.ask("status")
    assert (found["triggers"], found["replies"], found["failures"]) == (1, 1, 0)
    last = found["last_turn"]
    assert isinstance(last, dict)
    assert (last["number"], last["sentences"], last["outcome"]) == (1, 2, "completed")
    assert 0 <= last["first_sentence_seconds"] <= last["seconds"] < 5
    assert found["pid"] == os.getpid()
    assert (found["microphone"], found["drops"]) == ("open", 0)


def test_the_socket_is_private(daemon: MainLoop) -> None:
    path = protocol.socket_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_user_is_refused(daemon: MainLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(RefusedError, match="Only the user who runs the daemon"):
        client.ask("stop")


def test_a_muted_microphone_is_closed_and_stays_muted_after_a_restart(
    source: Source, speech: SpeechOutput
) -> None:
    with serving(MainLoop(source, Recognition({}), Generator(), speech, options=options())):
        wait_until("open", "microphone")
        assert (source.closed, mute.is_muted()) == (False, False)
        client.ask("mute")
        wait_until("muted")
        assert (source.closed, mute.is_muted()) == (True, True)
    second = microphone()
    later = MainLoop(second, Recognition({}), Generator(), speech, options=options(mute.is_muted()))
    with serving(later):
        wait_until("muted")
        assert second.opened == 0
        client.ask("unmute")
        wait_until("listening")
        assert second.opened == 1
    assert not mute.is_muted()


def test_mute_cancels_a_capture(source: Source, speech: SpeechOutput) -> None:
    recognition = Recognition({1: EXCHANGE[:1]})
    with serving(MainLoop(source, recognition, Generator(), speech, options=options())):
        wait_until("capturing")
        client.ask("mute")
        wait_until("muted")
        client.ask("unmute")
        wait_until("listening")
    assert recognition.cancelled == 1


def test_say_and_hush(source: Source) -> None:
    generator, speech = Generator(), SpeechOutput(30.0)
    with serving(MainLoop(source, Recognition({}), generator, speech, options=options())):
        assert client.ask("say", seed=" the sailor ") == {"turn": 1}
        wait_until("speaking")
        assert client.ask("say", seed="the crow") == {"turn": 2}
        wait_until("speaking")
        client.ask("hush")
        wait_until("listening")
        last = client.ask("status")["last_turn"]
        assert isinstance(last, dict)
        assert (last["number"], last["outcome"]) == (2, "cancelled")
        client.ask("hush")  # nothing to stop is no error
    assert generator.seeds == ["the sailor", "the crow"]
    assert speech.spoken == []


@pytest.mark.parametrize("seed", ["", "  ", "x" * 2001])
def test_a_seed_of_invalid_length_is_refused(seed: str, daemon: MainLoop) -> None:
    with pytest.raises(RefusedError, match="between 1 and 2000 characters"):
        client.ask("say", seed=seed)


def test_stop_ends_the_daemon(daemon: MainLoop) -> None:
    assert "responder" in [thread.name for thread in threading.enumerate()]
    client.ask("stop")
    deadline = time.monotonic() + 2
    while any(thread.name == "responder" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_follow_sends_an_exchange_with_its_words(daemon: MainLoop) -> None:
    events = []
    for line in client.follow():
        events.append(json.loads(line))
        if events[-1].get("state") == "listening":
            break
    assert all(abs(event.pop("time") - time.time()) < 10 for event in events)
    quiet = ("microphone", "state", "sounding", "timed")
    assert [event for event in events if event["event"] not in quiet] == [
        {"event": "triggered", "phrase": "hey computer", "audio_seconds": 0.1},
        {"event": "seed", "turn": 1, "text": "a fox"},
        {"event": "sentence", "turn": 1, "text": "One."},
        {"event": "sentence", "turn": 1, "text": "Two."},
        {"event": "ended", "turn": 1, "outcome": "completed"},
    ]
    states = [event["state"] for event in events if event["event"] == "state"]
    assert states == ["capturing", "thinking", "speaking", "listening"]
    assert [event for event in events if event["event"] == "sounding"] == [
        {"event": "sounding", "turn": 1, "number": 1},
        {"event": "sounding", "turn": 1, "number": 2},
    ]


def test_watch_also_sends_the_level_of_the_microphone(daemon: MainLoop) -> None:
    kinds = set()
    for line in client.follow("watch"):
        event = json.loads(line)
        kinds.add(event["event"])
        if event["event"] == "level":
            assert event["db"] == -90.3  # 20 log10(1 / 32768): the fake microphone gives ones
        if event.get("state") == "listening":
            break
    assert kinds >= {"level", "seed", "sentence", "sounding", "ended"}


def test_a_subscriber_that_never_reads_is_disconnected(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "CLIENT_SECONDS", 0.2)
    loop = MainLoop(source, Recognition({}), Generator(["word " * 2000]), SpeechOutput())
    with serving(loop), socket.socket(socket.AF_UNIX) as unread:
        unread.connect(str(protocol.socket_path()))
        unread.sendall(protocol.request_line("follow", {}))
        time.sleep(0.2)
        begin = time.monotonic()
        for _ in range(60):
            client.ask("say", seed="a fox")
            wait_until("listening")
        assert time.monotonic() - begin < 20
        time.sleep(0.5)
        assert loop._publisher._subscribers == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "one line with a JSON object"),
        (b"nonsense\n", "one line with a JSON object"),
        (b"[1]\n", "one line with a JSON object"),
        (b"\xff\xfe\n", "one line with a JSON object"),
        (b"[" * 9000 + b"\n", "one line with a JSON object"),
        (b"1" * 9000 + b"\n", "one line with a JSON object"),
        (b'{"command": "stop"}\n', "version 1"),
        (b'{"version": 2, "command": "stop"}\n', "version 1"),
        (b'{"version": true, "command": "stop"}\n', "version 1"),
        (b'{"version": 1, "command": "sing"}\n', "choose one of: status, "),
        (b'{"version": 1, "command": ["stop"]}\n', "choose one of"),
        (b'{"version": 1, "command": "stop", "now": "yes"}\n', "takes no arguments"),
        (b'{"version": 1, "command": "say"}\n', "takes seed, as text"),
        (b'{"version": 1, "command": "say", "seed": 3}\n', "takes seed, as text"),
        (b"x" * 20_000, "at most 16384 bytes"),
        (b"[" * 100_000, "at most 16384 bytes"),
        (b'{"version": 1, "command": "say", "seed": ' + b"[" * 16_000 + b"\n", "a JSON object"),
        (b'{"version": 1, "command": "say", "seed": "\\ud83d"}\n', "half a character"),
        (b'{"version": 1, "command": "say", "seed": "a \\ude00\\ud83d"}\n', "half a character"),
        (b'{"version": 1, "command": "reload", "wait": "\\ud800"}\n', "half a character"),
        (b'{"version": 1, "command": "say", "seed": "\xed\xa0\x80"}\n', "in UTF-8"),
        (b'{"version": 1, "command": "say", "seed": "caf\xe9"}\n', "in UTF-8"),
        ('{"version": 1, "command": "stop"}\n'.encode("utf-16-be"), "in UTF-8"),
        (b'{"version": NaN, "command": "stop"}\n', "version 1"),
        (b'{"version": 1e999, "command": "stop"}\n', "version 1"),
        (b'{"version": 1, "command": "say", "seed": NaN}\n', "takes seed, as text"),
        (b'{"version": 1, "command": {"say": null}}\n', "choose one of"),
        (b'{"version": 1, "command": "status"}\n{"version": 1}\n', "a JSON object"),
    ],
)
def test_invalid_requests_are_refused(line: bytes, message: str, daemon: MainLoop) -> None:
    answer = send(line)
    assert (answer["ok"], answer["error"]) == (False, "refused")
    assert message in str(answer["message"])
    assert client.ask("status")["pid"] == os.getpid()


def test_both_halves_of_a_character_are_one(daemon: MainLoop) -> None:
    line = b'{"version": 1, "command": "say", "seed": "\\ud83d\\ude00"}\n'
    assert send(line)["ok"] is True


def test_a_surrogate_from_elsewhere_leaves_no_reply_unfinished(
    source: Source, speech: SpeechOutput
) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), "ascii")
    loop = MainLoop(source, Recognition({}), Generator(), speech, Console(screen), options())
    with serving(loop):
        loop.inbox.ask(protocol.Request("say", {"seed": "the \ud83d"}))
        wait_until("listening")
        assert client.ask("say", seed="the crow") == {"turn": 2}
        deadline = time.monotonic() + 30
        while len(speech.spoken) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_request_may_end_without_a_newline(daemon: MainLoop) -> None:
    assert send(b'{"version": 1, "command": "status"}', end=True)["ok"] is True


def test_clients_are_bounded_in_time_and_number(
    daemon: MainLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "CLIENT_SECONDS", 0.5)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(control_module.CLIENTS)]
    for one in silent:
        one.connect(str(protocol.socket_path()))
    time.sleep(0.1)
    with pytest.raises(RefusedError, match="Too many clients"):
        client.ask("status")
    assert b"No whole request came" in silent[0].makefile("rb").readline()
    time.sleep(0.3)
    assert client.ask("status")["triggers"] in (0, 1)
    for one in silent:
        one.close()


def test_a_thousand_silent_clients_are_gone_in_time_and_told_in_one_line(
    daemon: MainLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control_module, "CLIENT_SECONDS", 0.5)
    with ExitStack() as stack:
        for _ in range(1000):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.connect(str(protocol.socket_path()))
        deadline = time.monotonic() + 30
        while True:
            try:
                assert client.ask("status")["pid"] == os.getpid()
                break
            except RefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    assert "More clients at a time than can be served (16)" in caplog.text
    assert len(caplog.messages) < 20


def test_followers_do_not_shut_out_other_clients(daemon: MainLoop) -> None:
    with ExitStack() as stack:
        for _ in range(control_module.FOLLOWERS):
            follower = stack.enter_context(socket.socket(socket.AF_UNIX))
            follower.connect(str(protocol.socket_path()))
            follower.sendall(protocol.request_line("follow", {}))
            stream = stack.enter_context(follower.makefile("rb"))
            assert json.loads(stream.readline())["ok"] is True
        with pytest.raises(RefusedError, match="Too many followers"):
            next(client.follow())
        assert client.ask("status")["pid"] == os.getpid()
    deadline = time.monotonic() + 30
    while True:
        try:
            next(client.follow())
            break
        except RefusedError:  # until their leaving is noticed
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_stuck_loop_is_reported(daemon: MainLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.loop.inbox.ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(RequestHandler, "_carry_out", lambda *_: time.sleep(0.5) or {})
    with pytest.raises(ControlError, match="too busy"):
        client.ask("status")


def test_a_programming_error_is_reported_without_its_message(
    daemon: MainLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(RequestHandler, "_status", lambda _: {}["secret"])
    with pytest.raises(ControlError, match=r"^The daemon failed; see its log\.$"):
        client.ask("status")
    assert "secret" in caplog.text


def test_a_second_daemon_is_refused_and_the_running_process_is_named(daemon: MainLoop) -> None:
    done = afterword("run")
    assert done.code == RefusedError.exit_code
    assert f"process {os.getpid()} holds {protocol.socket_path()}" in done.err
    assert client.ask("status")["pid"] == os.getpid()


def test_the_socket_and_lock_of_a_dead_daemon_are_taken_over(
    source: Source, speech: SpeechOutput
) -> None:
    path = protocol.socket_path()
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from daemon.control.lock import single_instance_lock\n"
        "from daemon.control.server import ControlServer\n"
        "path = Path(sys.argv[1])\nwith single_instance_lock(path):\n"
        "    ControlServer(path, print); os._exit(9)"
    )
    crashed = subprocess.run([sys.executable, "-c", program, path])
    assert (crashed.returncode, path.is_socket()) == (9, True)
    with pytest.raises(NotRunningError):
        client.ask("status")
    with serving(MainLoop(source, Recognition({}), Generator(), speech, options=options())):
        assert client.ask("status")["pid"] == os.getpid()
    assert not path.exists()


def test_crashes_are_counted_until_a_daemon_ends_cleanly() -> None:
    path = protocol.socket_path()
    with single_instance_lock(path) as first:
        pass
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from daemon.control.lock import single_instance_lock as lock\n"
        "with lock(Path(sys.argv[1])) as restarts:\n    print(restarts, flush=True)\n"
        "    os._exit(9)"
    )
    command = [sys.executable, "-c", program, str(path)]
    crashed = [subprocess.run(command, capture_output=True, text=True).stdout for _ in range(2)]
    with (
        single_instance_lock(path) as third,
        pytest.raises(SystemExit),
        single_instance_lock(path.with_name("other")),
    ):
        sys.exit(0)
    with single_instance_lock(path) as fourth:
        pass
    assert (first, crashed, third, fourth) == (0, ["0\n", "1\n"], 2, 0)
    assert path.with_suffix(".lock").read_text() == ""


def test_an_unusable_runtime_folder_is_an_output_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/nowhere")
    with (
        pytest.raises(OutputError, match=r"/proc/nowhere/afterword"),
        single_instance_lock(protocol.socket_path()),
    ):
        pass
    long = home / ("x" * 200) / "control.sock"
    with (
        single_instance_lock(long),
        pytest.raises(OutputError, match="too long"),
    ):
        ControlServer(long, lambda *_: {})


@pytest.mark.parametrize("kind", ["symbolic link", "link to another file", "pipe"])
def test_a_lock_that_is_no_file_of_its_own_is_refused(kind: str, home: Path) -> None:
    path, mine = protocol.socket_path(), home / "mine.txt"
    path.parent.mkdir(parents=True)
    mine.write_text("mine")
    lock = path.with_suffix(".lock")
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "symbolic link":
        lock.symlink_to(mine)
    else:
        os.link(mine, lock)
    reason = "not a regular file" if kind == "pipe" else kind
    with (
        pytest.raises(OutputError, match=rf"{lock} cannot be used: it is .*{reason}; remove it\."),
        single_instance_lock(path),
    ):
        pass
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("content", ["zwölf 3", "1 2 3", "\x00", "1 x", "9 " + "9" * 60])
def test_a_lock_with_other_text_is_taken_over(content: str) -> None:
    path = protocol.socket_path()
    path.parent.mkdir(parents=True)
    path.with_suffix(".lock").write_text(content, "utf-8")
    with single_instance_lock(path):
        assert path.with_suffix(".lock").read_text().startswith(f"{os.getpid()} ")
        assert stat.S_IMODE(path.with_suffix(".lock").stat().st_mode) == 0o600


def test_a_lock_that_is_held_may_hold_any_text() -> None:
    path = protocol.socket_path()
    with single_instance_lock(path):
        path.with_suffix(".lock").write_text("zwölf", "utf-8")
        with (
            pytest.raises(RefusedError, match="process unknown holds"),
            single_instance_lock(path),
        ):
            pass


def test_a_runtime_folder_that_is_a_link_is_refused(home: Path) -> None:
    path, mine = protocol.socket_path(), home / "mine"
    mine.mkdir(mode=0o755)
    path.parent.symlink_to(mine)
    with (
        pytest.raises(OutputError, match="cannot be used: it is a symbolic link"),
        single_instance_lock(path),
    ):
        pass
    assert stat.S_IMODE(mine.stat().st_mode) == 0o755


def test_without_a_runtime_folder_a_private_one_is_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    path = protocol.socket_path()
    assert path == home / ".cache" / "afterword" / "run" / "control.sock"
    with single_instance_lock(path):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "command",
    ["status", "mute", "unmute", "hush", "reload", "stop", "follow", "say --daemon fox"],
)
def test_each_command_reports_that_no_daemon_runs(command: str) -> None:
    done = afterword(*command.split())
    assert done.code == NotRunningError.exit_code == 3
    assert "is not running" in done.err


def test_commands_print_text_and_json(daemon: MainLoop) -> None:
    wait_until("speaking")
    wait_until("listening")
    text = afterword("status").out
    assert text.startswith("listening\n")
    assert "1 triggers, 1 replies, 0 failed" in text
    assert json.loads(afterword("status", "--json").out)["replies"] == 1
    assert afterword("say", "--daemon", "a crow").code == 0
    wait_until("speaking")
    assert (afterword("hush").code, client.ask("status")["replies"]) == (0, 2)
    refused = afterword("say", "--daemon", " ")
    assert (refused.code, refused.out) == (RefusedError.exit_code, "")


def test_control_commands_import_no_heavy_module() -> None:
    heavy = {"pydantic", "numpy", "yaml", "daemon.loop.main_loop", "daemon.cli.run", "logging"}
    modules = "daemon.cli.main, daemon.cli.control, daemon.control.client, daemon.control.status"
    program = f"import sys, {modules}\nprint({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_a_microphone_that_comes_later_is_waited_for(speech: SpeechOutput) -> None:
    late = microphone()
    late.errors = [AudioDeviceError("No microphone was found.")] * 2
    waiting = LoopOptions(wait_for_microphone=True)
    with serving(MainLoop(late, Recognition({}), Generator(), speech, options=waiting)):
        wait_until("waiting for the microphone: No microphone was found.")
        wait_until("listening")
    assert late.opened == 1


def test_a_missing_microphone_ends_a_loop_that_does_not_wait(speech: SpeechOutput) -> None:
    late = microphone()
    late.errors = [AudioDeviceError("No microphone was found.")]
    with pytest.raises(AudioDeviceError):
        MainLoop(late, Recognition({}), Generator(), speech).run()
    assert speech.closed
