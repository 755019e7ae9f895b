"""Checks of sound: PortAudio, microphone, loudspeaker and echo."""

import math
import time

import click
import numpy as np
import numpy.typing as npt

from audio.input.microphone_faults import find_faults
from config.errors import AfterwordError
from config.settings import Settings
from daemon.doctor.finding import Finding, fault

RECORD_SECONDS = 2.0
RECORD_TIMEOUT_SECONDS = 6.0  # for a microphone that starts slowly
TONE_SECONDS, TONE_HERTZ, TONE_LOUDNESS = 0.5, 440, 0.2
FADE_SECONDS = 0.02  # so that the tone does not click


def portaudio(_: Settings) -> Finding:
    """Check that PortAudio loads, and count its devices."""
    from audio.devices.portaudio import import_sounddevice
    from audio.devices.selection import devices

    try:
        version = import_sounddevice().get_portaudio_version()[1]
        inputs, outputs = len(devices("input")), len(devices("output"))
    except AfterwordError as error:
        return fault("PortAudio", error)
    # "PortAudio V19.7.0-devel, revision 147dd722…"
    seen = (
        f"{version.split(',')[0].removeprefix('PortAudio ')}, devices: {inputs} in, {outputs} out"
    )
    return Finding("PortAudio", "ok", seen)


def microphone(settings: Settings) -> Finding:
    """Record `RECORD_SECONDS` from the microphone, and judge the level."""
    name = "microphone"
    try:
        pcm = _record(settings)
    except AfterwordError as error:
        return fault(name, error)
    if len(pcm) < 0.5 * RECORD_SECONDS * 2 * 16_000:
        return Finding(name, "fault", "it gives no sound", "see whether it is plugged in")
    return judge_level(pcm)


def judge_level(pcm: bytes) -> Finding:
    """Judge a microphone by its 16-bit samples; levels in dB of full scale."""
    name = "microphone"
    samples = np.frombuffer(pcm, "<i2").astype("float64") / 32768
    faults = find_faults(pcm)
    remedy = "; ".join(fault.remedy for fault in faults)
    if any(fault.kind == "muted" for fault in faults):
        return Finding(name, "fault", f"it {faults[0].seen}", remedy)
    peak_db = 20 * math.log10(float(np.abs(samples).max()))
    mean_db = 10 * math.log10(float((samples**2).mean()))
    seen = f"level {mean_db:.0f} dB, peak {peak_db:.0f} dB {bar(mean_db)}"
    detail = ", ".join([seen, *(f"it {fault.seen}" for fault in faults)])
    return Finding(name, "warning" if faults else "ok", detail, remedy)


def bar(level_db: float, width: int = 10) -> str:
    """A level from -60 to 0 dB of full scale as a bar."""
    filled = round(width * min(1.0, max(0.0, 1 + level_db / 60)))
    return "#" * filled + "." * (width - filled)


def _record(settings: Settings) -> bytes:
    from audio.input.microphone import Microphone
    from audio.pcm import SAMPLE_RATE

    pcm = b""
    with Microphone(settings.audio.input).open() as chunks:
        click.echo(f"Speak now: recording {RECORD_SECONDS:g} seconds ...", err=True)
        end = time.monotonic() + RECORD_TIMEOUT_SECONDS
        for chunk in chunks:
            pcm += chunk.pcm
            if len(pcm) >= RECORD_SECONDS * 2 * SAMPLE_RATE or time.monotonic() > end:
                break
    return pcm


def speaker(settings: Settings) -> Finding:
    """Check that the loudspeaker plays a tone."""
    from audio.output.loudspeaker import Loudspeaker
    from audio.tts.sound import RATE

    player = Loudspeaker(settings.audio.output)
    try:
        player.open()
        player.play(_tone(RATE), lambda: False)
        player.wait(lambda: False)
    except AfterwordError as error:
        return fault("speaker", error)
    finally:
        player.close()
    remedy = "if you heard nothing, turn it up, or choose another one with audio.output"
    return Finding("speaker", "ok", f"a tone of {TONE_SECONDS:g} s was played", remedy)


def _tone(rate: int) -> npt.NDArray[np.int16]:
    times = np.arange(round(TONE_SECONDS * rate)) / rate
    edges = np.minimum(times, TONE_SECONDS - times) / FADE_SECONDS
    tone = np.sin(2 * np.pi * TONE_HERTZ * times) * np.minimum(edges, 1) * TONE_LOUDNESS
    return (tone * 32767).astype(np.int16)


_CANCELLER = (
    "pactl load-module module-echo-cancel aec_method=webrtc aec_args="
    '"analog_gain_control=0 digital_gain_control=0 noise_suppression=0 high_pass_filter=0"'
)


def echo(settings: Settings) -> Finding:
    """Check whether the sound server has an echo-cancelling source, and whether it is used."""
    from audio.devices.sound_server import cancels_echo, server_devices

    name = "echo"
    sources = [source for source in server_devices("input") if not source.monitor]
    cancelling = [source for source in sources if cancels_echo(source.name, source.description)]
    if not cancelling:
        seen = "no echo-cancelling microphone; while it speaks, only the trigger is listened to"
        return Finding(name, "ok", seen, f"headphones, or `{_CANCELLER}`" if sources else "")
    used = _used(settings.audio.input)
    for source in cancelling:
        if source.name == used:
            return Finding(name, "ok", f"the microphone {source.name} cancels echo, and is used")
    best = cancelling[0].name
    seen = f"the microphone {best} cancels echo, but is not used"
    return Finding(name, "warning", seen, f"set audio.input to {best}, or to null")


def _used(wanted: int | str | None) -> str:
    """The sound server's name of the configured microphone; empty if it is not the server's."""
    from audio.devices.selection import find_device

    try:
        return find_device("input", wanted).server_name
    except AfterwordError:
        return ""
