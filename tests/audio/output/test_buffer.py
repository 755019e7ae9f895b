"""The queue between the thread that plays and PortAudio's callback."""

import numpy as np

from audio.output.buffer import PlaybackBuffer


class TestPlaybackBuffer:
    def take(self, feed: PlaybackBuffer, length: int) -> list[int]:
        block = np.full(length, -1, np.int16)
        feed.fill(block)
        return block.tolist()

    def test_blocks_come_out_joined_and_silence_follows(self) -> None:
        feed = PlaybackBuffer(4)
        feed.put(np.array([1, 2, 3], np.int16))
        feed.put(np.zeros(0, np.int16))
        feed.put(np.array([4, 5], np.int16))
        assert feed.pending == 5
        assert self.take(feed, 2) == [1, 2]
        assert self.take(feed, 2) == [3, 4]
        assert feed.pending == 1
        assert self.take(feed, 3) == [5, 0, 0]
        assert feed.pending == 0

    def test_a_fade_goes_on_over_blocks_and_drops_the_rest(self) -> None:
        feed = PlaybackBuffer(5)
        feed.put(np.full(100, 1000, np.int16))
        self.take(feed, 3)
        feed.fade()
        assert self.take(feed, 3) == [1000, 750, 500]
        assert feed.fading
        assert self.take(feed, 4) == [250, 0, 0, 0]
        assert (feed.fading, feed.pending) == (False, 0)
        feed.put(np.array([7], np.int16))
        assert self.take(feed, 2) == [7, 0]

    def test_a_fade_longer_than_the_sound_ends_all_the_same(self) -> None:
        feed = PlaybackBuffer(5)
        feed.put(np.full(2, 1000, np.int16))
        feed.fade()
        assert self.take(feed, 3) == [1000, 750, 0]
        assert self.take(feed, 3) == [0, 0, 0]
        assert not feed.fading

    def test_there_is_nothing_to_fade_in_silence(self) -> None:
        feed = PlaybackBuffer(5)
        feed.fade()
        assert not feed.fading
