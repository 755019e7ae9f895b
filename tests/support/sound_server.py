"""Re-exports the private PulseAudio of daemon/bench/virtual_audio.py."""

from daemon.bench.virtual_audio import Recording, Samples, SoundServer, missing_programs

__all__ = ["Recording", "Samples", "SoundServer", "missing_programs"]
