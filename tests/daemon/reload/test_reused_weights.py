"""A reload loads the weights that have changed, and the others stay in memory; real models."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from config.errors import DeviceError
from config.load import Loaded, changed_keys, load
from config.settings import Settings
from daemon.components import Components
from daemon.reload.rebuild import Rebuild
from model.checkpoints import adapter_store
from model.checkpoints.adapters import save_adapter
from model.checkpoints.fetched import LARGE, choose, folder_of
from model.checkpoints.store import own_weights
from model.checkpoints.weights_file import load_weights, save_weights
from model.inference import loading
from model.inference.generator import TextGenerator
from tests.daemon.fakes import Source
from tests.model.checkpoints.test_adapters import made_adapter
from tests.model.convert.foreign import foreign_weights
from tests.model.made import small_weights


class Reloads:
    """Reloads of the components; `loads` are the names of the weights that one has loaded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = load(environment={})
        generator, weights = loading.load_weights(self.settings.settings)
        speech = Mock(voice="hibari")
        source = Source(1, live=True)
        self.components = Components(source, Mock(folder="vosk"), generator, speech, weights)
        self.loads: list[str] = []
        self.tried: list[TextGenerator] = []
        monkeypatch.setattr(loading, "load_file", self._counting(loading.load_file))
        monkeypatch.setattr(loading, "try_out", lambda generator, *_: self.tried.append(generator))

    def _counting(self, load_file):
        def count(settings: Settings, path: Path, device: str | None = None):
            loaded = load_file(settings, path, device)
            self.loads.append(loaded[1].name)
            return loaded

        return count

    @property
    def parts(self) -> tuple[TextGenerator, ...]:
        return loading.parts_of(self.components.generator)

    def run(self, new: Loaded | None = None, device: str | None = "cpu") -> list[str]:
        """Reload as for new weights, or to new settings; returns what it has loaded."""
        self.loads.clear()
        before, new = self.settings, new or self.settings
        rebuild = Rebuild(self.components, before.settings, new, changed_keys(before, new))
        self.components, update = rebuild.run(weights=new is before, device=device)
        self.summary = update.summary
        self.settings = new
        return list(self.loads)


@pytest.fixture
def reloads(monkeypatch: pytest.MonkeyPatch) -> Reloads:
    """Small and large weights are in use, and each seed chooses."""
    save_weights(own_weights("en"), small_weights())
    save_weights(folder_of(LARGE) / "en.safetensors", foreign_weights())
    return Reloads(monkeypatch)


def train_adapter() -> str:
    """Put an adapter in place for the large weights; returns its name."""
    path = adapter_store.new_adapter("en", LARGE)
    base = load_weights(folder_of(LARGE) / "en.safetensors")
    save_adapter(path, replace(made_adapter(base), base_name=LARGE))
    adapter_store.put_in_place("en", LARGE, path.stem)
    return path.stem


def test_new_small_weights_leave_the_large_ones_in_memory(reloads: Reloads):
    small, large = reloads.parts
    save_weights(own_weights("en"), small_weights(seed=2))
    loaded = reloads.run()
    assert loaded == [reloads.components.weights[0].name]
    assert reloads.parts[1] is large
    assert reloads.parts[0] is not small
    assert reloads.tried == [reloads.parts[0]]  # the other may be generating a reply
    assert len(reloads.components.weights) == 2
    assert reloads.run() == []  # nothing has changed since
    assert reloads.parts[1] is large


def test_an_adapter_of_the_large_weights_leaves_the_small_ones_in_memory(reloads: Reloads):
    small, large = reloads.parts
    train_adapter()
    assert reloads.run() == ["large"]
    assert (reloads.parts[0] is small, reloads.parts[1] is large) == (True, False)
    adapter_store.put_in_place("en", LARGE, None)
    assert reloads.run() == ["large"]
    assert reloads.parts[0] is small


def test_the_adapter_in_use_is_told(reloads: Reloads):
    small, path = reloads.components.weights[0], folder_of(LARGE) / "en.safetensors"
    settings = reloads.settings.settings
    assert reloads.components.status_info(settings)["adapters"] == {}
    name = train_adapter()
    reloads.run()
    told = f"large with the adapter {name}"
    assert reloads.summary.endswith(f"{small.name} ({small.path}) and {told} ({path}).")
    assert [part.name for part in reloads.parts] == [small.name, told]  # for log and `status`
    status = reloads.components.status_info(settings)
    assert (status["adapters"], status["weights"]["name"]) == ({"large": name}, small.name)
    reloads.run(load(flags=["model.weights=large"], environment={}))
    status = reloads.components.status_info(settings)
    assert (status["adapters"], status["weights"]["name"]) == ({"weights": name}, "large")


def test_an_adapter_that_cannot_be_used_is_not_told(
    reloads: Reloads, caplog: pytest.LogCaptureFixture
):
    adapter_store.find_adapter("en", train_adapter()).write_bytes(b"damaged")
    for _ in range(2):
        reloads.run()
        assert reloads.components.status_info(reloads.settings.settings)["adapters"] == {}
        assert reloads.parts[1].name == "large"
    assert caplog.text.count("are used without it meanwhile") == 1


def test_the_choice_between_loaded_weights_loads_nothing(reloads: Reloads):
    _, large = reloads.parts
    choose("en", LARGE)
    assert reloads.run() == []
    assert reloads.parts == (large,)
    choose("en", None)
    assert reloads.run() == [own.name for own in reloads.components.weights[:1]]
    assert reloads.parts[1] is large


def test_weights_in_use_get_the_new_options(reloads: Reloads):
    _, large = reloads.parts
    new = load(flags=["model.weights=large", "model.max_sentences=1"], environment={})
    assert reloads.run(new) == []
    (part,) = reloads.parts
    assert (part._engine, part._options.max_sentences) == (large._engine, 1)
    assert large._options.max_sentences != 1  # of a reply in progress


@pytest.mark.parametrize("flag", ["model.threads=2", "model.device=cpu"])
def test_other_threads_or_another_device_load_all_anew(reloads: Reloads, flag: str):
    before = reloads.parts
    assert len(reloads.run(load(flags=[flag], environment={}))) == 2
    assert not set(before) & set(reloads.parts)


def test_all_move_to_the_cpu_when_the_gpu_fails(reloads: Reloads, monkeypatch: pytest.MonkeyPatch):
    """One that stayed on the failed device would fail with the next reply."""
    for part in reloads.parts:
        part._engine = Mock(device="cuda", name="that of a GPU")
    save_weights(own_weights("en"), small_weights(seed=2))
    load_file = loading.load_file

    def fail(settings: Settings, path: Path, device: str | None = None):
        if device is None:
            raise DeviceError("The GPU failed.")
        return load_file(settings, path, device)

    monkeypatch.setattr(loading, "load_file", fail)
    assert len(reloads.run(device=None)) == 2
    assert [part.device for part in reloads.parts] == ["cpu", "cpu"]
