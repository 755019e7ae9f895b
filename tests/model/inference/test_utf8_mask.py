import functools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.inference.utf8_mask import FORBIDDEN, Utf8Mask
from model.text.vocabulary import Vocabulary
from tests.model.text.test_vocabulary import unicode_text

SOME = Vocabulary(range(3000))


@functools.cache
def made_once() -> Utf8Mask:
    return Utf8Mask(SOME.pieces)


@settings(deadline=None)
@given(text=unicode_text)
def test_every_text_is_allowed(text: str):
    characters = made_once()
    for token in SOME.encode(text):
        assert characters.mask()[token] == 0
        characters.feed(token)
    assert characters.mask()[SOME.end] == 0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_what_is_allowed_makes_whole_characters(seed: int):
    characters = made_once()
    characters.reset()
    random = torch.Generator().manual_seed(seed)
    data = b""
    while len(data) < 40 or characters.mask()[SOME.end] == FORBIDDEN:
        allowed = torch.nonzero(characters.mask()[: SOME.end] == 0).flatten().tolist()
        odd = [i for i in allowed if SOME.pieces[i][-1] >= 0x80] or allowed
        token = odd[int(torch.randint(len(odd), (1,), generator=random))]
        data += SOME.pieces[token]
        characters.feed(token)
    assert data.decode().encode() == data


def test_a_new_text_forgets_the_half_character_of_the_last():
    characters = Utf8Mask(SOME.pieces)
    characters.feed(SOME.encode("武")[0])
    assert characters.mask()[SOME.end] == FORBIDDEN
    characters.reset()
    assert characters.mask()[SOME.end] == 0
