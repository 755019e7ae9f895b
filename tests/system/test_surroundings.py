"""Started from folders that are gone, closed or full of modules named as ours.

Each command works, or says why in a sentence.
"""

import os
import sys
from pathlib import Path

import pytest

from config import errors
from tests.support.program import ROOT, Outcome, afterword

FOX = ROOT / "tests" / "recordings" / "one-breath.wav"
SHORT = ("--set", "model.max_sentences=1", "--set", "model.random_seed=1")

# Without the right of root to open everything.
WITHOUT_RIGHTS = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    if os.geteuid() == 0
    else ()
)


def removed(folder: Path) -> tuple[str, ...]:
    """A command that runs another one in a folder that has been removed."""
    folder.mkdir()
    return ("sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(folder))


def test_from_a_removed_folder_a_seed_is_continued_and_spoken(tmp_path: Path) -> None:
    out = tmp_path / "reply.wav"
    done = afterword("say", "the fox", "--out", out, *SHORT, before=removed(tmp_path / "gone"))
    assert (done.code, done.err) == (0, "")
    assert len(done.out.split()) > 2
    assert out.stat().st_size > 10_000


def test_from_a_removed_folder_a_recording_is_answered(vosk_en: Path, tmp_path: Path) -> None:
    arguments = ("--wav", FOX, "--out", tmp_path / "x.wav", "--set", f"hearing.model={vosk_en}")
    done = afterword("run", *arguments, *SHORT, before=removed(tmp_path / "gone"))
    assert done.code == 0, done.err
    assert done.seeds == ["once upon a time there was a little fox"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("config",), 0),
        (("models",), 0),
        (("weights",), 0),
        (("voices",), 0),
        (("devices", "--no-level"), 0),
        (("train", "--help"), 0),
        (("explain", "the fox", "--tokens", "1"), 0),
        (("config", "--config", "settings.yaml"), errors.ConfigError.exit_code),
        (("run", "--wav", "seed.wav"), errors.InputError.exit_code),
        (("say", "fox", "--out", "reply.wav"), errors.OutputError.exit_code),
        (("evaluate", "stories.txt"), errors.InputError.exit_code),
        (("train", "--corpus", FOX, "--out", "x"), errors.OutputError.exit_code),
        (("status",), errors.NotRunningError.exit_code),
    ],
)
def test_from_a_removed_folder_each_command_works_or_says_why(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    done = afterword(*arguments, before=removed(tmp_path / "gone"))
    assert done.code == code, done.err
    assert_told(done)


def test_from_a_removed_folder_the_model_s_programs_work(tmp_path: Path) -> None:
    before = removed(tmp_path / "gone")
    done = afterword("the fox", "--tokens", "1", module="model.explain", before=before)
    assert (done.code, done.err) == (0, "")


def closed(folder: Path) -> Path:
    """A folder in a folder that may not be searched."""
    folder.mkdir()
    folder.chmod(0)
    return folder / "home"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("models",), ("models", "verify"), ("history",), ("history", "--clear"), ("status",)),
        *(("weights",), ("weights", "--config", os.devnull), ("train",), ("run",)),
        *(("run", "--config", os.devnull), ("run", "--wav", FOX, "--config", os.devnull)),
        *(("say", "fox"), ("say", "fox", "--config", os.devnull)),
    ],
)
def test_a_home_that_may_not_be_searched_is_named(
    arguments: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = closed(tmp_path_factory.mktemp("h") / "closed")  # sockets allow 107 bytes
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.delenv(f"XDG_{kind}_HOME")
    done = afterword(*arguments, before=WITHOUT_RIGHTS)
    assert done.code not in (0, 2)
    assert_told(done)
    assert str(home) in done.err
    assert len(done.err.splitlines()) == 1


def test_doctor_names_a_folder_and_gives_no_root_s_folder_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(closed(tmp_path / "closed")))
    monkeypatch.delenv("XDG_DATA_HOME")
    done = afterword("doctor", "--no-sound", before=WITHOUT_RIGHTS)
    assert done.code == 2
    assert f"{tmp_path}/closed cannot be written to" in done.out
    assert "chown" not in done.out  # the closed folder is not below HOME
    assert "PermissionError" not in done.out


def assert_told(done: Outcome) -> None:
    assert done.out or done.err
    assert "Traceback" not in done.err


def test_a_library_that_ends_the_program_is_heard(tmp_path: Path) -> None:
    """MKL, for one, prints why it cannot go on and calls exit(2)."""
    program = (
        "import ctypes, os\n"
        "from model.inference import loading\n"
        "def die(*_):\n"
        "    os.write(2, b'\\nIntel oneMKL FATAL ERROR: Cannot load\\n')\n"
        "    ctypes.CDLL(None).exit(2)\n"
        "loading.load_weights = die\n"
        "from daemon.cli.main import main\n"
        "main()\n"
    )
    file = tmp_path / "program.py"
    file.write_text(program)
    done = afterword(file, "say", "a fox", "--no-speech", program=sys.executable)
    assert done.code == 2
    assert done.err == (
        "afterword: The program ended at once; a library printed last: "
        "Intel oneMKL FATAL ERROR: Cannot load\n"
    )


SHADOWS = ("audio", "config", "tests", "click", "json", "numpy", "random", "torch", "yaml")


@pytest.fixture
def in_shadows(tmp_path: Path) -> tuple[str, ...]:
    """A command that runs another one in a folder with modules named as those of the program."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    return ("sh", "-c", 'cd "$0" && exec "$@"', str(folder))


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("model.explain", ("武", "--tokens", "1")),
        ("model.evaluate", (str(ROOT / "LICENSE"),)),
        ("daemon", ("config",)),
        ("daemon", ("explain", "武", "--tokens", "1")),
        ("model.bench", ("--help",)),
        ("daemon.bench", ("--help",)),
    ],
)
def test_modules_in_the_working_directory_are_not_imported(
    module: str, arguments: tuple[str, ...], in_shadows: tuple[str, ...]
) -> None:
    done = afterword(*arguments, module=module, before=in_shadows)
    assert (done.code, done.err) == (0, "")
    assert done.out


def test_training_imports_no_module_from_the_working_directory(
    in_shadows: tuple[str, ...], tmp_path: Path
) -> None:
    corpus, out = tmp_path / "corpus.txt", tmp_path / "out"
    corpus.write_text("The old sailor looked at the sea.\n" * 500)
    options = ("--corpus", corpus, "--out", out, "--preset", "tiny", "--steps", "1")
    done = afterword(*options, module="model.train", before=in_shadows)
    assert done.code == 0, done.err
    assert (out / "en.safetensors").is_file()


def test_the_installed_command_is_not_shadowed_by_any_package(
    in_shadows: tuple[str, ...], tmp_path: Path
) -> None:
    """As an installer writes it: Python puts the folder of the script first."""
    for name in ("model", "daemon"):
        (tmp_path / "mine" / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    script = tmp_path / "bin" / "afterword"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom daemon.cli.main import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    done = afterword("explain", "武", "--tokens", "1", program=str(script), before=in_shadows)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("command", ["train", "explain", "evaluate"])
def test_both_forms_of_a_command_have_the_same_options(command: str) -> None:
    short, long = afterword(command, "--help"), afterword("--help", module=f"model.{command}")
    assert (short.code, long.code) == (0, 0)
    assert f"Usage: afterword {command} " in short.out
    assert f"Usage: python -m model.{command} " in long.out

    def options(text: str) -> str:
        return text.partition("Options:")[2].replace("-h, --help", "--help").replace(" ", "")

    assert options(short.out) == options(long.out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "fox", "--language", "fr"),
        ("explain", "fox", "--weights", "/nowhere"),
        ("explain", "fox", "--tokens", "1", "--json"),
        ("evaluate", "/nowhere"),
        ("train",),
        ("train", "--corpus", "/nowhere", "--steps", "1", "--minutes", "2"),
        ("train", "--corpus", "/nowhere", "--out", "/proc/x"),
    ],
)
def test_both_forms_of_a_command_end_alike(arguments: tuple[str, ...]) -> None:
    command, *rest = arguments
    short, long = afterword(*arguments), afterword(*rest, module=f"model.{command}")
    assert (short.code, short.out) == (long.code, long.out)
    expected = long.err.replace("Error: ", "afterword: ") if long.code != 2 else long.err
    assert short.err == expected.replace(f"python -m model.{command}", f"afterword {command}")
