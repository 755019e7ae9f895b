"""The private PulseAudio of daemon/bench/virtual_audio.py, by the name that tests know."""

from daemon.bench.virtual_audio import Recording, SoundServer, missing_programs

__all__ = ["Recording", "SoundServer", "missing_programs"]
