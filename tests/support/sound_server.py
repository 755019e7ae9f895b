"""The private PulseAudio of daemon/bench/virtual_audio.py, by the name that tests know."""

from daemon.bench.virtual_audio import Recording, Samples, SoundServer, missing_programs

__all__ = ["Recording", "Samples", "SoundServer", "missing_programs"]
