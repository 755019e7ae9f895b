"""Chinese on real parts: a recording of a real reader, and the voice recognised again."""

import re
from pathlib import Path

import numpy as np
import soundfile
import soxr

from audio.pcm import SAMPLE_RATE
from audio.stt.vosk_engine import VoskEngine
from audio.tts.engine import SpeechEngine
from config.languages import LANGUAGES
from config.load import load
from tests.support.program import afterword

RECORDINGS = Path(__file__).parents[1] / "recordings"
# Whole characters only, and nothing after the last mark.
POEM = re.compile(r"([\u4e00-\u9fff]+[，、：；。！？]\s*)+")


def test_a_real_reader_is_recognised_and_answered_with_a_poem(
    tmp_path: Path, vosk_zh: Path
) -> None:
    """The sentence's first word serves as the trigger, the rest is the seed."""
    out = tmp_path / "poem.wav"
    done = afterword(
        *("run", "--wav", RECORDINGS / "chinese-reader.wav", "--out", out, "--language", "zh"),
        *("--set", f"hearing.model={vosk_zh}", "--set", "trigger.phrases=[广州市]"),
        *("--set", "model.random_seed=1"),
    )
    assert done.code == 0, done.err
    assert done.seeds == ["房地产中介协会分析"]
    (reply,) = done.replies
    lead, poem = reply.split("：", 1)
    assert lead == "题“房地产”一首"  # the seed is prose
    assert POEM.fullmatch(poem), poem
    assert poem[-1] in "。！？；"
    sound, rate = soundfile.read(out)
    assert len(sound) / rate > 3
    assert abs(sound).max() > 0.1


def test_without_kokoro_espeak_reads_the_poem(tmp_path: Path) -> None:
    out = tmp_path / "poem.wav"
    done = afterword("say", "武", "--language", "zh", "--out", out)
    assert done.code == 0, done.err
    assert "kokoro:zf_xiaoxiao is not fetched (`afterword voices fetch zh`)" in done.err
    assert "cmn-latn-pinyin speaks instead" in done.err
    assert len(soundfile.read(out)[0]) > 22_050
    quiet = afterword(
        *("say", "武", "--language", "zh", "--out", out, "--set", "log.level=warning")
    )
    assert (quiet.code, quiet.err) == (0, "")


def test_a_chosen_voice_that_is_not_fetched_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "poem.wav"
    chosen = ("--set", "voice.name=kokoro:zm_yunxi")
    done = afterword("say", "武", "--language", "zh", "--out", out, *chosen)
    assert done.code == 78
    assert "kokoro:zm_yunxi" in done.err
    assert "`afterword voices fetch zh` fetches them." in done.err
    assert not out.exists()


def test_the_voice_of_espeak_reads_characters(vosk_zh: Path) -> None:
    """Under espeak-ng 1.51 the voice `cmn` reads 春 as "chun one", and nothing of this is heard."""
    line = "春眠不觉晓，处处闻啼鸟。"
    voice = load(flags=["language=zh"]).settings.voice
    engine = SpeechEngine(LANGUAGES["zh"].espeak_voice, voice.rate_wpm, voice.volume)
    sound = soxr.resample(engine.synthesize(line).astype(float), engine.rate, SAMPLE_RATE)
    engine.close()
    quiet = np.zeros(SAMPLE_RATE // 2)
    recognizer = VoskEngine(vosk_zh).open_vocabulary()
    heard = recognizer.accept(np.concatenate([quiet, sound, quiet]).astype("<i2").tobytes()) or []
    characters = "".join(word.text for word in [*heard, *recognizer.finish()])
    assert sum(character in characters for character in "春眠不觉晓处处闻啼鸟") >= 5, characters
