"""Everything that can go wrong in a way the user can mend.

AfterwordError              1
├── ConfigError            78   a setting is unknown, of the wrong type or out of range
├── InputError             66   a file to read is missing or is not what it should be
├── OutputError            73   a file cannot be written
├── WeightsError           65   weights or a trainer state are missing, damaged or do not fit
├── HearingModelError      72   a Vosk model is missing, incomplete or damaged
├── DownloadError          75   a download failed; trying again may help
├── AudioDeviceError       69   no microphone, speaker or sound server
├── SpeechError            70   the speech engine failed
├── GenerationError        71   the model produced no usable numbers
│   └── DeviceError        71   the GPU that computes the model failed, or its memory is full
├── NotRunningError         3   no daemon answers
├── RefusedError           77   the daemon, or a second one, will not do that
├── ControlError           76   the daemon gave no answer that makes sense
├── UnitError              74   systemd did not do what was asked
└── MissingPackageError     5   an optional Python package is not installed

The exit codes follow BSD's sysexits.h where it has a fitting one. The message is one sentence that
names the thing, the place and the remedy; it is all the user sees.
"""


class AfterwordError(Exception):
    """Base of all errors that are reported as one sentence instead of a traceback."""

    exit_code = 1


class ConfigError(AfterwordError):
    """A setting is unknown, of the wrong type or out of range."""

    exit_code = 78


class InputError(AfterwordError):
    """A file to read is missing or is not what it should be."""

    exit_code = 66


class OutputError(AfterwordError):
    """A file cannot be written."""

    exit_code = 73


class WeightsError(AfterwordError):
    """Weights or a trainer state are missing, damaged or do not fit."""

    exit_code = 65


class HearingModelError(AfterwordError):
    """A Vosk model is missing, incomplete or damaged."""

    exit_code = 72


class DownloadError(AfterwordError):
    """A download failed; trying again may help."""

    exit_code = 75


class AudioDeviceError(AfterwordError):
    """No microphone, speaker or sound server."""

    exit_code = 69


class SpeechError(AfterwordError):
    """The speech engine failed."""

    exit_code = 70


class GenerationError(AfterwordError):
    """The model produced no usable numbers."""

    exit_code = 71


class DeviceError(GenerationError):
    """The GPU that computes the model failed, or its memory is full; the CPU can take over."""


class NotRunningError(AfterwordError):
    """No daemon answers."""

    exit_code = 3  # as in the Linux Standard Base: the program is not running


class RefusedError(AfterwordError):
    """The daemon will not do that; or another one is running already."""

    exit_code = 77


class ControlError(AfterwordError):
    """The daemon gave no answer, or none that makes sense."""

    exit_code = 76


class UnitError(AfterwordError):
    """Systemd did not do what was asked."""

    exit_code = 74


class MissingPackageError(AfterwordError):
    """What was asked for needs a Python package of one of our extras."""

    exit_code = 5  # as in the Linux Standard Base: the program is not installed
