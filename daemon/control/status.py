"""A status as people read it."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from daemon.timings import TurnRecord, TurnTimings


def in_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """The answer to `status`, line by line."""
    phrases = " or ".join(f'"{phrase}"' for phrase in status.get("phrases", []))
    yield str(status["state"])
    yield f"  trigger     {phrases}"
    yield f"  running     {_duration(status['uptime_seconds'])}, process {status.get('pid')}"
    devices = status.get("devices", {})
    yield f"  microphone  {_name(devices.get('input'))}: {status['microphone']}"
    yield f"  speaker     {_name(devices.get('output'))}, voice {status.get('voice')}"
    for kind, path in status.get("models", {}).items():
        yield f"  {kind:<10}  {path}"
    if weights := status.get("weights"):
        bits = weights["bits_per_byte"]
        quality = "" if bits is None else f", {bits:g} bits/byte on its held-out texts"
        yield f"              ({weights['name']}{quality})"
    yield f"  device      {devices.get('model')}"
    restarts = status.get("restarts", {})
    yield (
        f"  so far      {status['triggers']} triggers, {status['replies']} replies, "
        f"{status['failures']} failed, {status['drops']} blocks of sound dropped"
    )
    yield "  restarts    " + ", ".join(f"{name} {count}" for name, count in restarts.items())
    if status.get("speech", "ready") != "ready":
        yield f"  speech      {status['speech']}"
    if status.get("reloading"):
        yield "  reload      under way"
    if reason := status.get("refused"):
        yield f"  refused     {reason}"
    if turn := status.get("last_turn"):
        yield f"  last reply  {_reply(turn)}"


def _reply(turn: Mapping[str, Any]) -> str:
    times = TurnTimings(**{field.name: turn[field.name] for field in fields(TurnTimings)})
    return TurnRecord(turn["number"], turn["sentences"], turn["outcome"], times).in_words()


def _name(device: object) -> str:
    return "default" if device is None else str(device)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
