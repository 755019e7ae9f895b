"""The bench of the voices at a small size, its texts and its table."""

import json
from pathlib import Path

import pytest

from audio.evaluation.intelligibility import units
from config.languages import LANGUAGES
from daemon.bench.voice_texts import TEXTS
from daemon.bench.voices import VoiceResult, default_voices, head, row
from tests.support.program import afterword


def result(voice: str, wrong: int) -> VoiceResult:
    return VoiceResult(
        voice, "en", 200, {"Vosk": wrong}, 60.0, 0.008, 0.02, 0.05, 0.15, 1.1, 219.3, 230.8
    )


def test_the_texts_are_as_long_as_they_are_said_to_be() -> None:
    lengths = {
        language: [
            {len(units(text, language)) for text in part} for part in (texts.short, texts.long)
        ]
        for language, texts in TEXTS.items()
    }
    assert lengths == {"en": [{8}, {25}], "zh": [{10}, {28}]}
    assert len(TEXTS["en"].sentences) == 40
    assert len(TEXTS["zh"].sentences) >= 12
    for texts in TEXTS.values():
        spoken = (*texts.sentences, *texts.short, *texts.long)
        assert len(set(spoken)) == len(spoken)  # a voice may keep what it has spoken
        assert not any(character.isdigit() for text in spoken for character in text)


def test_espeak_is_the_peer_of_every_language() -> None:
    assert {language: default_voices(language)[0] for language in TEXTS} == {
        language: LANGUAGES[language].espeak_voice for language in TEXTS
    }


def test_a_row_holds_shares_and_the_ratio_to_the_peer() -> None:
    peer = result("en-us", 40)
    lines = [*head(["Vosk"]), row(peer, peer), row(result("hibari", 6), peer)]
    assert len({line.count("|") for line in lines}) == 1
    assert "| 3.0 % of 200 (0.15) | 0.008 | 0.020 | 50 ms | 150 ms | 1.1 s | 219 MB |" in lines[3]
    assert "| 3.0 % of 200 |" in row(result("hibari", 6), None)
    assert "| 3.0 % of 200 |" in row(result("hibari", 6), result("en-us", 0))
    assert row(result("piper:/home/x/voices/joe.onnx", 6), peer).startswith("| piper:joe |")


def test_a_voice_is_measured_beside_its_peer(vosk_en: Path) -> None:
    wanted = ("--voice", "en-us", "--voice", "hibari")
    setting = ("--set", f"hearing.model={vosk_en}")
    done = afterword("voices", "--quick", "--json", *wanted, *setting, module="daemon.bench")
    assert done.code == 0, done.err
    espeak, hibari = map(json.loads, done.out.splitlines())
    assert (espeak["voice"], hibari["voice"]) == ("en-us", "hibari")
    assert espeak["units"] == hibari["units"] > 20
    assert hibari["errors"]["Vosk"] < espeak["errors"]["Vosk"] < espeak["units"] / 2
    for found in (espeak, hibari):
        assert 5 < found["sound_seconds"] < 30
        assert 0 <= found["processor_factor"] < 1  # counted in steps of 10 ms
        assert found["short_seconds"] > 0
        assert found["start_seconds"] > 0
        assert 5 < found["resident_mb"] <= found["peak_mb"]


def test_default_voices_that_are_not_installed_are_left_out(vosk_zh: Path) -> None:
    options = ("--quick", "--language", "zh", "--set", f"hearing.model={vosk_zh}")
    done = afterword("voices", *options, module="daemon.bench")
    assert done.code == 0, done.err
    assert done.out.splitlines()[2].startswith("| cmn-latn-pinyin | ")
    assert "kokoro:zf_xiaoxiao is left out: " in done.err  # a test has an empty home


def test_a_missing_vosk_model_is_one_sentence_with_the_remedy() -> None:
    done = afterword("voices", "--language", "en", module="daemon.bench")
    assert (done.code, done.out) == (72, "")
    assert "run `afterword models fetch en`" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("voice", ["nobody", "en-us+nobody"])
def test_an_unknown_voice_that_was_asked_for_is_an_error(voice: str, vosk_en: Path) -> None:
    options = ("--voice", voice, "--set", f"hearing.model={vosk_en}")
    done = afterword("voices", *options, module="daemon.bench")
    assert (done.code, done.out) == (78, "")
    assert "nobody" in done.err
