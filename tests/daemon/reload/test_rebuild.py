"""Which components a change of the settings rebuilds, and what an error says; without models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import ValidationError

from config.errors import (
    AfterwordError,
    AudioDeviceError,
    ConfigError,
    DeviceError,
    HearingModelError,
    RefusedError,
    SpeechError,
    WeightsError,
)
from config.load import Loaded, changed_keys, known_keys, load
from config.settings import Settings
from daemon import components
from daemon.components import Components
from daemon.ports import ComponentUpdate
from daemon.reload import rebuild
from daemon.reload.rebuild import Rebuild
from daemon.reload.settings import ALL_COMPONENTS
from daemon.systemd import journal
from model.checkpoints.store import WeightsInfo
from model.inference import loading
from tests.daemon.fakes import Source

OLD_WEIGHTS = WeightsInfo("old", Path("old.safetensors"), 0.0, 0, "en", None, "")
NEW_WEIGHTS = WeightsInfo("new", Path("new.safetensors"), 0.0, 0, "en", None, "")

# Each setting can take one of these values besides its default.
OTHER_VALUES = ("careful", True, False, "zh", "debug", 1, 0.5, 100, ["other"])


def with_other_value(settings: Settings, key: str) -> Settings:
    """The settings with a valid value of this key that differs from the present one."""
    section, _, name = key.rpartition(".")
    owner: Any = getattr(settings, section) if section else settings
    for value in OTHER_VALUES:
        try:
            changed = replace(owner, **{name: value})
        except ValidationError:
            continue
        if changed != owner:
            return replace(settings, **{section: changed}) if section else changed
    raise AssertionError(f"add a value for {key} to OTHER_VALUES")


@pytest.mark.parametrize("key", known_keys())
def test_every_setting_belongs_to_a_component(key: str) -> None:
    old = load(environment={}).settings
    new = with_other_value(old, key)
    assert [made_from for made_from in ALL_COMPONENTS if made_from(old) != made_from(new)]


class Built:
    """Fakes in place of all that builds; `calls` are in order.

    Attributes:
        errors: raised by the functions of these names.
        arguments: of the newest call, by name.
        results: of the newest call, by name.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.errors: dict[str, AfterwordError] = {}
        self.arguments: dict[str, tuple[Any, ...]] = {}
        self.results: dict[str, Any] = {}

    def fake(self, name: str, result: Any = None) -> Callable[..., Any]:
        self.results[name] = result

        def build(*arguments: Any) -> Any:
            self.calls.append(name)
            self.arguments[name] = arguments
            if error := self.errors.get(name):
                raise error
            return result

        return build


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Built:
    built = Built()
    for name in ("open_source", "open_recognition", "open_cues", "open_engine", "open_observers"):
        monkeypatch.setattr(components, name, built.fake(name, Mock(name=name, failure=None)))
    generator = Mock(device="cpu")
    monkeypatch.setattr(loading, "load_file", built.fake("load_file", (generator, NEW_WEIGHTS)))
    monkeypatch.setattr(loading, "try_out", built.fake("try_out"))
    monkeypatch.setattr(journal, "set_level", built.fake("set_level"))
    monkeypatch.setattr(loading, "weights_files", lambda settings: [NEW_WEIGHTS.path])
    monkeypatch.setattr("audio.devices.selection.find_device", built.fake("find_device"))
    sink = Mock(name="loudspeaker")
    monkeypatch.setattr("audio.output.loudspeaker.Loudspeaker", built.fake("Loudspeaker", sink))
    return built


@pytest.fixture
def old(built: Built) -> Components:
    """The components in use; they can be given new settings."""
    recognition = Mock(folder="vosk")
    recognition.with_settings = built.fake("new grammars", Mock(folder="vosk"))
    generator = Mock(device="cuda")
    generator.with_options = built.fake("new options", Mock(device="cuda"))
    speech = Mock(voice="hibari")
    speech.reconfigure = built.fake("new speech")
    return Components(Source(1, live=True), recognition, generator, speech, (OLD_WEIGHTS,))


def run(
    old: Components, *flags: str, weights: bool = False, device: str | None = None
) -> tuple[Components, ComponentUpdate]:
    """Rebuild from the default settings to these."""
    return run_to(old, load(flags=flags, environment={}), weights=weights, device=device)


def run_to(
    old: Components, new: Loaded, *, weights: bool = False, device: str | None = None
) -> tuple[Components, ComponentUpdate]:
    in_force = load(environment={})
    one = Rebuild(old, in_force.settings, new, changed_keys(in_force, new))
    return one.run(weights=weights, device=device)


@pytest.mark.parametrize(
    ("flag", "calls"),
    [
        ("audio.input=usb", ["open_source"]),
        ("trigger.phrases=[hello there]", ["new grammars"]),
        ("trigger.must_begin=true", ["new grammars"]),
        ("seed.silence_seconds=1", ["new grammars"]),
        ("commands.stop=[hush]", ["new grammars"]),
        ("conversation.follow_up_seconds=1", []),
        ("hearing.model=/vosk", ["open_recognition"]),
        ("model.weights=/new.safetensors", ["load_file", "try_out"]),
        ("model.device=cuda", ["load_file", "try_out"]),
        ("model.threads=3", ["load_file", "try_out"]),
        ("model.temperature=0.1", ["new options"]),
        ("model.random_seed=1", ["new options"]),
        ("audio.output=usb", ["find_device", "Loudspeaker", "open_cues"]),
        ("voice.pause_seconds=1", ["open_cues"]),
        ("cues.volume=0.1", ["open_cues"]),
        ("voice.name=en-gb", ["open_cues", "open_engine"]),
        ("voice.rate_wpm=100", ["open_cues", "open_engine"]),
        ("history.enabled=true", ["open_observers"]),
        ("captures.keep=1", ["open_observers"]),
        ("log.level=debug", ["set_level"]),
    ],
)
def test_a_component_is_rebuilt_only_if_its_settings_differ(
    flag: str, calls: list[str], old: Components, built: Built
) -> None:
    _, update = run(old, flag)
    assert built.calls == calls
    given = {
        "source": update.source,
        "recognition": update.recognition,
        "generator": update.generator,
        "speech": update.reconfigure_speech,
        "observers": update.observers,
    }
    results = {
        "open_source": "source",
        "new grammars": "recognition",
        "open_recognition": "recognition",
        "new options": "generator",
        "load_file": "generator",
        "open_cues": "speech",
        "open_observers": "observers",
    }
    changed = {results[call] for call in calls if call in results}
    assert {name for name, part in given.items() if part is not None} == changed
    settings = load(flags=[flag], environment={}).settings
    assert update.follow_up_seconds == settings.conversation.follow_up_seconds
    assert update.summary.startswith(f"Changed: {flag.partition('=')[0]}.")


def test_the_same_settings_rebuild_nothing(old: Components, built: Built) -> None:
    made, update = run(old)
    assert (built.calls, made) == ([], old)
    assert update.summary == "No setting has changed."


def test_another_language_keeps_only_the_devices(old: Components, built: Built) -> None:
    made, update = run(old, "language=zh")
    assert built.calls == ["open_recognition", "load_file", "try_out", "open_cues", "open_engine"]
    assert (update.source, update.observers, made.source) == (None, None, old.source)
    assert update.status_info["language"] == "zh"


def test_the_new_components_are_in_the_update_and_take_the_place_of_the_old(
    old: Components, built: Built
) -> None:
    flags = ("audio.input=usb", "hearing.model=/vosk", "model.threads=3", "log.level=debug")
    made, update = run(old, *flags, "history.enabled=true")
    results = built.results
    assert made == Components(
        results["open_source"],
        results["open_recognition"],
        results["load_file"][0],
        old.speech,
        (NEW_WEIGHTS,),
    )
    assert update.source is made.source
    assert update.recognition is made.recognition
    assert update.generator is made.generator
    assert update.observers is results["open_observers"]
    assert built.arguments["set_level"] == ("debug",)
    assert update.status_info == made.status_info(load(flags=flags, environment={}).settings)
    changed = "hearing.model, model.threads, audio.input, history.enabled, log.level"
    weights = "The weights in use are now new (new.safetensors)."
    assert update.summary == f"Changed: {changed}. {weights}"


@pytest.mark.parametrize(
    ("flag", "engine", "sink", "pause"),
    [
        ("voice.name=en-gb", True, False, None),
        ("audio.output=usb", False, True, None),
        ("voice.pause_seconds=1", False, False, 1.0),
        ("cues.volume=0.1", False, False, None),
    ],
)
def test_the_speech_output_is_given_what_has_changed(
    flag: str, engine: bool, sink: bool, pause: float | None, old: Components, built: Built
) -> None:
    _, update = run(old, flag)
    assert update.reconfigure_speech is not None
    assert "new speech" not in built.calls  # the reply in progress ends first
    update.reconfigure_speech()
    default = load(environment={}).settings.voice.pause_seconds
    assert built.arguments["new speech"] == (
        built.results["open_engine"] if engine else None,
        built.results["Loudspeaker"] if sink else None,
        default if pause is None else pause,
        built.results["open_cues"],
    )


def test_speech_that_goes_to_a_file_needs_no_loudspeaker(old: Components, built: Built) -> None:
    made, _ = run(replace(old, out=Path("out.wav")), "audio.output=usb")
    assert built.calls == ["open_cues"]
    assert made.out == Path("out.wav")


@pytest.mark.parametrize("device", [None, "cpu"])
def test_new_weights_are_loaded_onto_the_device(
    device: str | None, old: Components, built: Built
) -> None:
    made, update = run(old, weights=True, device=device)
    assert built.calls == ["load_file", "try_out"]
    settings = load(environment={}).settings
    assert built.arguments["load_file"] == (settings, NEW_WEIGHTS.path, device)
    assert built.arguments["try_out"] == (update.generator, settings, NEW_WEIGHTS.path)
    assert made.weights == (NEW_WEIGHTS,)
    assert update.status_info["devices"]["model"] == "cpu"
    assert update.summary == "The weights in use are now new (new.safetensors)."


def test_a_device_that_fails_with_new_weights_is_replaced_by_the_cpu(
    old: Components, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = []

    def load_file(_: Settings, path: Path, device: str | None) -> tuple[Mock, WeightsInfo]:
        devices.append(device)
        if device is None:
            raise DeviceError("The GPU failed.")
        return Mock(device=device), NEW_WEIGHTS

    monkeypatch.setattr(loading, "load_file", load_file)
    made, update = run(old, weights=True)
    assert devices == [None, "cpu"]
    assert made.generator is update.generator
    assert update.status_info["devices"]["model"] == "cpu"


def test_two_weights_files_are_loaded_tried_and_joined(
    old: Components, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = replace(NEW_WEIGHTS, name="large", path=Path("large.safetensors"))
    monkeypatch.setattr(loading, "weights_files", lambda settings: [NEW_WEIGHTS.path, large.path])
    infos = {info.path: info for info in (NEW_WEIGHTS, large)}
    monkeypatch.setattr(loading, "load_file", lambda _, path, on: (Mock(device="cpu"), infos[path]))
    monkeypatch.setattr(loading, "shipped_weights", lambda language: NEW_WEIGHTS.path)
    made, update = run(old, weights=True)
    assert built.calls == ["try_out", "try_out"]
    assert made.weights == (NEW_WEIGHTS, large)
    assert update.summary == (
        "The weights in use are now new (new.safetensors) and large (large.safetensors)."
    )
    models = update.status_info["models"]
    assert (models["weights"], models["large"]) == ("new.safetensors", "large.safetensors")


def test_a_move_to_the_cpu_takes_the_weights_that_can_be_loaded(
    old: Components, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load_weights(settings: Settings, device: str) -> tuple[Mock, tuple[WeightsInfo, ...]]:
        asked.append((settings, device))
        return Mock(device=device), (OLD_WEIGHTS,)

    monkeypatch.setattr(loading, "load_weights", load_weights)
    settings = load(environment={}).settings
    built, update = rebuild.move_to_cpu(old, settings)
    assert asked == [(settings, "cpu")]
    assert built == replace(old, generator=update.generator)
    assert update.status_info["devices"]["model"] == "cpu"
    assert update.summary == "The model is computed on the CPU."


def test_a_device_that_has_failed_is_overridden_for_changed_settings_too(
    old: Components, built: Built
) -> None:
    run(old, "model.threads=3", device="cpu")
    assert built.arguments["load_file"][2] == "cpu"


FILE = """\
trigger: {phrases: [hello there]}
seed: {silence_seconds: 1}
model: {weights: /new.safetensors}
voice: {name: en-gb, volume: 0.5}
audio: {input: ear, output: horn}
cues: {error: /error.wav}
log: {level: debug}
history: {enabled: true}
"""
BEFORE_ENGINE = ["new grammars", "load_file", "try_out", "find_device", "Loudspeaker", "open_cues"]


@pytest.fixture
def everything(tmp_path: Path) -> Loaded:
    """Settings that change every component, from a file."""
    file = tmp_path / "config.yaml"
    file.write_text(FILE)
    return load(file, environment={})


def test_the_engine_is_started_last(old: Components, built: Built, everything: Loaded) -> None:
    run_to(old, everything)
    # Neither of the two that follow can fail.
    assert built.calls == [
        "open_source",
        *BEFORE_ENGINE,
        "open_engine",
        "set_level",
        "open_observers",
    ]


@pytest.mark.parametrize(
    ("failing", "error", "line", "told"),
    [
        ("open_source", AudioDeviceError("No device."), 5, "audio.input: No device."),
        ("open_source", ConfigError("audio.input: no."), 5, "audio.input: no."),
        ("new grammars", HearingModelError("It is gone."), 1, "trigger.phrases: It is gone."),
        ("new grammars", ConfigError("Odd seed.silence_seconds."), 2, "Odd seed.silence_seconds."),
        ("load_file", WeightsError("They are damaged."), 3, "model.weights: They are damaged."),
        ("try_out", WeightsError("They say nothing."), 3, "model.weights: They say nothing."),
        ("find_device", ConfigError("audio.output: no."), 5, "audio.output: no."),
        ("open_cues", ConfigError("cues.error: no."), 6, "cues.error: no."),
        ("open_engine", ConfigError("voice.name: no."), 4, "voice.name: no."),
        ("open_engine", SpeechError("No voice.volume."), 4, "No voice.volume."),
        ("open_engine", SpeechError("It is dead."), 4, "voice.name: It is dead."),
        ("open_cues", ConfigError("It is empty."), 6, "cues.error: It is empty."),
    ],
)
def test_an_error_names_the_setting_that_caused_it_and_changes_nothing(
    failing: str,
    error: AfterwordError,
    line: int,
    told: str,
    old: Components,
    built: Built,
    everything: Loaded,
    tmp_path: Path,
) -> None:
    built.errors[failing] = error
    with pytest.raises(RefusedError) as refused:
        run_to(old, everything)
    assert str(refused.value) == f"{tmp_path / 'config.yaml'}, line {line}: {told}"
    assert refused.value.__cause__ is error
    assert built.calls[-1] == failing
    assert not {"set_level", "open_observers", "new speech"} & set(built.calls)


def test_a_chosen_voice_that_fails_is_refused_although_another_would_speak(
    old: Components, built: Built, tmp_path: Path
) -> None:
    engine = built.results["open_engine"]
    engine.failure = SpeechError("Its process has ended.")
    file = tmp_path / "config.yaml"
    file.write_text("language: en\nvoice:\n  name: piper:/voice.onnx\n")
    with pytest.raises(RefusedError) as refused:
        run_to(old, load(file, environment={}))
    assert str(refused.value) == f"{file}, line 3: voice.name: Its process has ended."
    engine.close.assert_called_once_with()


@pytest.mark.parametrize("flag", ["language=zh", "voice.rate_wpm=100"])
def test_a_voice_that_was_not_chosen_just_now_may_fail(
    flag: str, old: Components, built: Built
) -> None:
    built.results["open_engine"].failure = SpeechError("Its process has ended.")
    _, update = run(old, flag)
    assert update.reconfigure_speech


def test_a_voice_that_did_not_work_is_tried_again(old: Components, built: Built) -> None:
    old.speech.voice = "en-us"  # type: ignore[misc]
    _, update = run(old)
    assert built.calls == ["open_cues", "open_engine"]
    assert update.reconfigure_speech
    assert update.summary == "The voice hibari was tried again."


def test_new_weights_do_not_try_the_voice_again(old: Components, built: Built) -> None:
    old.speech.voice = "en-us"  # type: ignore[misc]
    run(old, weights=True)
    assert "open_engine" not in built.calls


def test_a_voice_whose_files_have_gone_speaks_on(old: Components, built: Built) -> None:
    old.speech.voice = "kokoro:af_heart"  # type: ignore[misc]
    new = load(flags=["voice.name=kokoro:af_heart"], environment={})
    one = Rebuild(old, new.settings, new, [])
    one.run(weights=False, device=None)
    assert built.calls == []


@pytest.mark.parametrize("flags", [(), ("audio.input=usb",)])
def test_an_error_that_no_changed_setting_caused_stays_as_it_is(
    flags: tuple[str, ...], old: Components, built: Built
) -> None:
    built.errors["load_file"] = error = WeightsError("They are damaged.")
    with pytest.raises(WeightsError) as raised:
        run(old, *flags, weights=True)
    assert raised.value is error
