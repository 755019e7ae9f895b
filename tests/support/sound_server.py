"""Private PulseAudio server of daemon/bench/virtual_audio.py, for tests."""

from daemon.bench.virtual_audio import Recording, SoundServer, missing_programs

__all__ = ["Recording", "SoundServer", "missing_programs"]
