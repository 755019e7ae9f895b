"""The conversion of weights in its process: how it ends, and small models from end to end."""

import errno
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.errors import (
    AfterwordError,
    GenerationError,
    InputError,
    OutputError,
    WeightsError,
)
from config.load import load
from daemon.cli.fetching import conversion, weights
from daemon.cli.fetching.conversion import Conversion
from model.checkpoints.fetched import folder_of
from model.checkpoints.weights_file import load_weights
from model.inference.loading import load_weights as load_generator
from tests.model.convert.foreign import foreign_weights, write_folder
from tests.support.program import afterword


def job(target: Path) -> Conversion:
    return Conversion(
        target.parent / "source", target, "en", "MIT", "made by a test", {"capitals": True}
    )


def run_as(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "COMMAND", (sys.executable, "-c", program))


@pytest.mark.parametrize(
    ("program", "kind", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", GenerationError, "there is not enough memory"),
        ("import os; os.abort()", GenerationError, "Tiny cannot be converted: there is not enough"),
        ("""print('{"shortage": true}'); exit(1)""", GenerationError, "close other programs"),
        ("""print('{"errno": 28}'); exit(1)""", OSError, "No space left on device"),
        (
            """print('{"error": "InputError", "message": "It is no model."}'); exit(1)""",
            InputError,
            r"^It is no model\.$",
        ),
        ("raise RuntimeError('a mistake')", AfterwordError, "RuntimeError: a mistake"),
        ("exit(3)", AfterwordError, "exit code 3"),
        ("print('{}')", AfterwordError, "exit code 0"),
    ],
)
def test_each_end_of_the_process_is_a_sentence(
    program: str,
    kind: type[Exception],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_as(program, monkeypatch)
    with pytest.raises(kind, match=said):
        conversion.convert(job(tmp_path / "en.safetensors"), "Tiny")


def test_what_is_lost_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as("""print('noise'); print('{"loss": "All is kept."}')""", monkeypatch)
    assert conversion.convert(job(tmp_path / "en.safetensors"), "Tiny") == "All is kept."


def raising(error: Exception, cause: Exception | None = None) -> Callable[..., str]:
    def convert(*_: object, **__: object) -> str:
        raise error from cause

    return convert


def in_handling_of(first: Exception) -> BufferError:
    error = BufferError("cannot close exported pointers exist")
    error.__context__ = first
    return error


@pytest.mark.parametrize(
    ("convert", "answer"),
    [
        (lambda *_, **__: SimpleNamespace(loss="None."), {"loss": "None."}),
        (raising(MemoryError()), {"shortage": True}),
        (raising(RuntimeError("can't allocate memory")), {"shortage": True}),
        (raising(in_handling_of(MemoryError())), {"shortage": True}),
        (
            raising(PermissionError(errno.EACCES, "Permission denied")),
            {
                "error": "InputError",
                "message": "/nowhere/source cannot be read: Permission denied; check it.",
            },
        ),
        (raising(OutputError("x"), OSError(errno.EDQUOT, "quota")), {"errno": errno.EDQUOT}),
        (raising(WeightsError("No.")), {"error": "WeightsError", "message": "No."}),
    ],
)
def test_each_outcome_of_a_conversion_has_an_answer(
    convert: Callable[..., str], answer: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model.convert.convert", SimpleNamespace(convert=convert))
    question = json.loads(json.dumps(vars(job(Path("/nowhere/target"))), default=str))
    assert conversion.answer(question) == answer


@pytest.fixture
def real_llama(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "Tiny Llama", foreign_weights())


@pytest.mark.slow
def test_a_model_of_the_users_is_converted_and_continues_a_seed(real_llama: Path) -> None:
    """The whole way, in processes of their own."""
    done = afterword("weights", "fetch", real_llama)
    path = folder_of("tiny-llama") / "en.safetensors"
    assert (done.code, done.out) == (0, f"tiny-llama: {path}\n"), done.err
    assert "All 252 pieces of its tokenizer stay" in done.err
    loaded = load_weights(path)
    assert (loaded.language, loaded.manner["capitals"]) == ("en", True)
    assert "Tiny Llama" in loaded.provenance
    settings = load(flags=["model.weights=tiny-llama", "model.random_seed=1"]).settings
    generator, (info,) = load_generator(settings)
    assert info.name == "tiny-llama"
    assert isinstance(list(generator.continue_text("the", lambda: False)), list)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.safetensors", b"", "its model.safetensors is cut short or damaged"),
        ("tokenizer.json", b"{}", "its tokenizer.json cannot be read"),
        ("config.json", b'{"model_type": "gpt2"}', 'its architecture is "gpt2"'),
    ],
)
def test_a_model_that_cannot_be_converted_is_one_sentence(
    file: str, content: bytes, said: str, real_llama: Path, tmp_path: Path
) -> None:
    (real_llama / file).write_bytes(content)
    question = vars(replace(job(tmp_path / "en.safetensors"), source=real_llama))
    answer = conversion.answer(dict(question))
    assert answer["error"] == "WeightsError"
    assert str(answer["message"]).startswith(f"{real_llama} cannot be converted: {said}")
    assert not (tmp_path / "en.safetensors").exists()


@pytest.mark.slow
def test_a_disk_that_fills_up_in_the_conversion_is_one_sentence(real_llama: Path) -> None:
    """A limit on the size of files, which the process inherits, stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, hard))
    try:
        with pytest.raises(OutputError) as caught:
            weights.take(real_llama, "mine", "en", print, conversion.convert)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    place = folder_of("mine").parent
    assert str(caught.value).startswith(
        f"The weights mine cannot be stored: {place}: File too large; free "
    )
    assert [path.name for path in place.iterdir()] == [".mine.lock"]


def test_memory_that_is_short_is_one_sentence(real_llama: Path) -> None:
    limited = ("prlimit", f"--as={400 * 2**20}")
    done = afterword("weights", "fetch", real_llama, before=limited)
    assert done.code == GenerationError.exit_code
    last = done.err.splitlines()[-1]
    assert f"{real_llama} cannot be converted: there is not enough memory; close other" in last
    assert not folder_of("tiny-llama").exists()
