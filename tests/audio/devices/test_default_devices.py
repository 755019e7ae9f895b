"""The user changes the default devices: the sound server moves open streams to the new ones."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio.input.microphone import Microphone
from audio.output.loudspeaker import Loudspeaker
from audio.tts.sound import RATE as SPEECH_RATE
from tests.audio.listener import Listener
from tests.audio.tones import RATE, samples, tone
from tests.support.sound_server import SoundServer


@pytest.mark.parametrize("kind", ["sound_server", "pipewire_server"])
def test_new_defaults_are_heard_and_spoken_to(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    server: SoundServer = request.getfixturevalue(kind)
    path = tmp_path / "tone.wav"
    sf.write(path, tone(RATE, 0.5), RATE)
    listener, player = Listener(Microphone()), Loudspeaker()
    beep = (10_000 * tone(SPEECH_RATE, 0.3)).astype(np.int16)
    player.open()
    listener.wait_for_chunks(5)
    for sink, channels in (("other_speaker", 2), ("other_mic_in", 1)):
        server.pactl("load-module", "module-null-sink", f"sink_name={sink}", f"channels={channels}")
    remap = ("source_name=other_mic", "master=other_mic_in.monitor")
    server.pactl("load-module", "module-remap-source", *remap)
    # PulseAudio 16 gives no more sound to a stream that it moves to a source made just then; the
    # daemon opens the microphone anew after two seconds, but this listener does not.
    listener.wait_for_chunks(20)
    for which in ("other_", ""):
        server.pactl("set-default-sink", f"{which}speaker")
        server.pactl("set-default-source", f"{which}mic")
        listener.wait_for_chunks(10)
        begin, known = time.monotonic(), len(listener.chunks)
        with server.recording(f"{which}speaker.monitor") as loudspeaker:
            player.play(beep, lambda: False)
            player.wait(lambda: False)
            server.play_into_microphone(path, f"{which}mic_in")
            listener.wait_for_chunks(5)
            assert len(loudspeaker.sounding(begin)) > 0.1 * loudspeaker.rate
        heard = samples(listener.chunks[known:])
        assert np.count_nonzero(np.abs(heard) > 3000) > 0.2 * RATE
    listener.stop()
    player.close()
