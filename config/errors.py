"""Errors that the user can mend, each with its exit code.

AfterwordError              1
├── ConfigError            78   a setting is unknown, of the wrong type or out of range
├── InputError             66   a file to read is missing or is not what it should be
├── OutputError            73   a file cannot be written
├── WeightsError           65   weights or a trainer state are missing, damaged or do not fit
├── HearingModelError      72   a Vosk model is missing, incomplete or damaged
├── LostProcessError       68   a process of a training under torchrun was lost
├── DownloadError          75   a download failed; trying again may help
├── AudioDeviceError       69   no microphone, loudspeaker or sound server
├── SpeechError            70   the speech engine failed
├── GenerationError        71   the model produced no usable numbers
│   └── DeviceError        71   the GPU that computes the model failed, or its memory is full
├── NotRunningError         3   no daemon answers
├── RefusedError           77   the daemon refuses the request, or another one is running already
├── ControlError           76   the daemon gave no answer, or none that makes sense
├── UnitError              74   systemd did not do what was asked
└── MissingPackageError     5   an optional Python package is not installed

The message is one sentence that names the thing, the place and the remedy; the user sees nothing
else. scripts/make-docs makes the list of exit codes from this tree. The codes follow BSD's
sysexits.h (EX_...), and the Linux Standard Base (LSB) for init scripts.
"""


class AfterwordError(Exception):
    """Base class: reported as one sentence instead of a traceback."""

    exit_code = 1


class ConfigError(AfterwordError):
    """Settings (EX_CONFIG)."""

    exit_code = 78


class InputError(AfterwordError):
    """Files to read (EX_NOINPUT)."""

    exit_code = 66


class OutputError(AfterwordError):
    """Files to write (EX_CANTCREAT)."""

    exit_code = 73


class WeightsError(AfterwordError):
    """Weights and trainer states (EX_DATAERR)."""

    exit_code = 65


class HearingModelError(AfterwordError):
    """Vosk models (EX_OSFILE)."""

    exit_code = 72


class LostProcessError(AfterwordError):
    """Processes that train together (EX_NOHOST)."""

    exit_code = 68


class DownloadError(AfterwordError):
    """Downloads (EX_TEMPFAIL)."""

    exit_code = 75


class AudioDeviceError(AfterwordError):
    """Audio devices (EX_UNAVAILABLE)."""

    exit_code = 69


class SpeechError(AfterwordError):
    """Speech engine (EX_SOFTWARE)."""

    exit_code = 70


class GenerationError(AfterwordError):
    """Transformer (EX_OSERR)."""

    exit_code = 71


class DeviceError(GenerationError):
    """The GPU that computes the model failed, or its memory is full; the CPU can take over."""


class NotRunningError(AfterwordError):
    """Daemon absent (LSB: program is not running)."""

    exit_code = 3


class RefusedError(AfterwordError):
    """Request or start refused (EX_NOPERM)."""

    exit_code = 77


class ControlError(AfterwordError):
    """Control protocol (EX_PROTOCOL)."""

    exit_code = 76


class UnitError(AfterwordError):
    """User unit of systemd (EX_IOERR)."""

    exit_code = 74


class MissingPackageError(AfterwordError):
    """Packages of the extras (LSB: program is not installed)."""

    exit_code = 5
