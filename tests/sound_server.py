"""The private PulseAudio of audio/virtual.py, by the name that tests know."""

from audio.virtual import Recording, Samples, SoundServer, missing_programs

__all__ = ["Recording", "Samples", "SoundServer", "missing_programs"]
