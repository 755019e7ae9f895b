"""Private PulseAudio server with a virtual microphone and loudspeaker, for tests and benches.

It needs no hardware and no D-Bus, and works as root. `play_into_microphone` is what a program
records; `recording()` catches what it plays. All files are in one folder; `stop()` ends it.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from audio.pcm import Samples
from config.errors import AudioDeviceError

PROGRAMS = ("pulseaudio", "pactl", "paplay", "parec")
START_SECONDS = 10.0
COMMAND_SECONDS = 120.0  # at most for a command, beside the sound it plays; machines may be busy
RECORDING_RATE = 16_000  # Vosk's rate, so that a recording can be decoded as it is

# norewinds: blocks of 50 ms instead of 2 s, so that recordings begin at once.
_SETUP = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=speaker rate=48000 channels=2 norewinds=1
load-module module-null-sink sink_name=mic_in rate=48000 channels=1 norewinds=1
load-module module-remap-source source_name=mic master=mic_in.monitor
set-default-sink speaker
set-default-source mic
"""


@dataclass(frozen=True)
class ServerSpec:
    """How to start a kind of sound server.

    Attributes:
        processes: given the folder, the server's commands in order, and for each the socket that
            must answer before the next is started.
        setup: `pactl` commands that then make the devices, a line each.
        environment: given the folder, variables of its processes beside its clients'.
    """

    processes: Callable[[Path], Sequence[tuple[Sequence[str], Path]]]
    setup: Sequence[str] = ()
    environment: Callable[[Path], Mapping[str, str]] = lambda _: {}


def _pulseaudio(folder: Path) -> Sequence[tuple[Sequence[str], Path]]:
    setup, native = folder / "setup.pa", folder / "pulse" / "native"
    setup.write_text(_SETUP.format(socket=native))
    options = ["--daemonize=no", "--exit-idle-time=-1", "--disable-shm=no", "--realtime=no"]
    options += ["--high-priority=no", "--use-pid-file=no"]
    log = f"--log-target=file:{folder}/pulseaudio.log"
    return [(["pulseaudio", "-n", "-F", str(setup), *options, log], native)]


PULSEAUDIO = ServerSpec(_pulseaudio)


def missing_programs() -> list[str]:
    """Names of PulseAudio's programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class SoundServer:
    """A sound server in `folder`; its clients need the variables of `environment`."""

    def __init__(self, folder: Path, spec: ServerSpec = PULSEAUDIO) -> None:
        self.folder = folder
        self._spec = spec
        self.environment = {
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_STATE_PATH": str(folder / "state"),
            "PULSE_COOKIE": str(folder / "cookie"),
            "PULSE_SERVER": f"unix:{folder}/pulse/native",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the server (again, after `kill`) and wait until it answers."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for command, path in self._spec.processes(self.folder):
            self._spawn(*command)
            self._wait_until(partial(_answers, path))
        for line in ("info", *self._spec.setup):
            self._wait_until(partial(self._succeeds, "pactl", *line.split()))

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            dead = any(process.poll() is not None for process in self._processes)
            if time.monotonic() > deadline or dead:
                raise AudioDeviceError(f"A private sound server does not start: {self._log()}.")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill the server's processes."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()

    def kill(self) -> None:
        """Simulate a crash of the server; `start` starts a new one."""
        self.stop()

    def freeze(self) -> None:
        """Stop the server's processes (SIGSTOP): clients get no service and no error."""
        for process in self._processes:
            process.send_signal(signal.SIGSTOP)

    def pactl(self, *arguments: str) -> str:
        """Run pactl and return its output."""
        return self._output("pactl", *arguments).strip()

    def play_into_microphone(self, wav: Path, sink: str = "mic_in") -> None:
        """Play a sound file into the virtual microphone; return when it has ended."""
        import soundfile

        timeout = soundfile.info(wav).duration + COMMAND_SECONDS
        self._run("paplay", f"--device={sink}", str(wav), timeout=timeout)

    @contextmanager
    def playing_into_microphone(self, wav: Path, sink: str = "mic_in") -> Iterator[None]:
        """Play a sound file into the virtual microphone during the block, or until it ends."""
        command = ["paplay", f"--device={sink}", str(wav)]
        with subprocess.Popen(command, env=self._environment()) as process:
            time.sleep(0.5)  # until it sounds
            yield
            process.kill()

    def loop_back(self, decibels: float) -> None:
        """Mix the loudspeaker into the microphone, amplified by `decibels` (below 0: softer)."""
        options = ["source=speaker.monitor", "sink=mic_in", "latency_msec=20"]
        self._run("pactl", "load-module", "module-loopback", *options)
        inputs = self._output("pactl", "list", "short", "sink-inputs").splitlines()
        self._run("pactl", "set-sink-input-volume", inputs[-1].split()[0], f"{decibels}dB")

    def recording(self, source: str = "speaker.monitor") -> "Recording":
        """Record the loudspeaker, or another source, inside a `with` block."""
        return Recording(self._environment(), source)

    def _log(self) -> str:
        log = self.folder / "pulseaudio.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return lines[-1] if lines else "it says nothing"

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def _spawn(self, *command: str) -> None:
        process = subprocess.Popen(
            command,
            env={**self._environment(), **self._spec.environment(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)

    def _run(self, *command: str, check: bool = True, timeout: float = COMMAND_SECONDS) -> int:
        return subprocess.run(
            command, env=self._environment(), check=check, capture_output=True, timeout=timeout
        ).returncode

    def _succeeds(self, *command: str) -> bool:
        return self._run(*command, check=False) == 0

    def _output(self, *command: str) -> str:
        return subprocess.run(
            command, env=self._environment(), check=True, capture_output=True, text=True, timeout=60
        ).stdout


def _answers(path: Path) -> bool:
    """True if a process listens at this socket."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        return client.connect_ex(str(path)) == 0


class Recording:
    """A mono recording of a source, with the time at which each sample sounded."""

    rate = RECORDING_RATE

    def __init__(self, environment: dict[str, str], source: str = "speaker.monitor") -> None:
        self._environment = environment
        self._source = source
        self._blocks: list[tuple[float, bytes]] = []  # monotonic time of the last sample, samples
        self._begun = threading.Event()

    def __enter__(self) -> "Recording":
        command = ["parec", "-d", self._source, "--raw", "--format=s16le", "--channels=1"]
        command += [f"--rate={self.rate}", "--latency-msec=10"]
        self._process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._output = cast(IO[bytes], self._process.stdout)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if not self._begun.wait(START_SECONDS):
            self.__exit__(None, None, None)
            raise AudioDeviceError(f"The virtual source {self._source} gives no sound.")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._output.close()

    def _read(self) -> None:
        descriptor = self._output.fileno()
        rest = b""
        while block := os.read(descriptor, 65536):
            data = rest + block
            whole = len(data) // 2 * 2
            data, rest = data[:whole], data[whole:]
            self._blocks.append((time.monotonic(), data))
            self._begun.set()

    def samples(self) -> Samples:
        """All samples recorded so far."""
        return np.frombuffer(b"".join(block for _, block in list(self._blocks)), np.int16)

    def save(self, path: Path) -> None:
        """Write the samples recorded so far into a WAV file."""
        with wave.open(str(path), "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(self.rate)
            wav.writeframes(self.samples().tobytes())

    def sounding(self, since: float, threshold: int = 300) -> npt.NDArray[np.float64]:
        """The monotonic times (seconds) of all samples louder than `threshold` after `since`."""
        times = [np.zeros(0)]
        for end, block in list(self._blocks):
            loud = np.abs(np.frombuffer(block, np.int16).astype(np.int32)) > threshold
            ages = (len(loud) - 1 - np.flatnonzero(loud)) / self.rate
            times.append(end - ages)
        joined = np.concatenate(times)
        return joined[joined >= since]

    def gaps(self, since: float, longer_than: float, threshold: int = 150) -> list[float]:
        """The lengths (seconds) of the silences between sounds after `since`."""
        steps = np.diff(self.sounding(since, threshold))
        return [round(float(step), 3) for step in steps if step > longer_than]
