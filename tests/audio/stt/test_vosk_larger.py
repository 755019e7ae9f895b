"""Larger models by name, from a stand-in of the official archive; one that takes no phrases."""

import hashlib
from dataclasses import replace

import pytest

from audio.stt import vosk_models
from audio.stt.vosk_larger import LARGER_MODELS, LargerModel, fetch
from config.errors import DownloadError, HearingModelError
from tests.support.web_site import Site, made_zip, serving

NAME = "vosk-model-xx-0.1"
CONTENT = {f"{NAME}/am/final.mdl": b"model" * 9000, f"{NAME}/graph/HCLG.fst": b"graph"}
ZIP = made_zip(CONTENT | {f"{NAME}/../out": b"no", "README": b"not of the model"})
MODEL = LargerModel(NAME, 1, "hearing.model")


def test_a_model_is_placed_whole_once_and_found_by_its_name() -> None:
    with serving(Site(ZIP)) as site:
        folder = fetch(MODEL, print, site.address)
        assert fetch(MODEL, print, site.address) == folder
        assert site.paths == [f"/{NAME}.zip"]
    files = {f"{NAME}/{f.relative_to(folder)}": f.read_bytes() for f in folder.rglob("*.*")}
    assert {name: data for name, data in files.items() if data} == CONTENT
    assert not (folder.parent / "out").exists()


def test_a_model_whose_graph_takes_no_phrases_cannot_listen_for_them() -> None:
    with serving(Site(ZIP)) as site:
        fetch(MODEL, print, site.address)
    with pytest.raises(HearingModelError, match=r"takes no trigger phrases.*careful_model"):
        vosk_models.find("en", NAME)


@pytest.mark.parametrize(
    ("model", "body", "why"),
    [
        (replace(MODEL, sha256=hashlib.sha256(b"").hexdigest()), ZIP, "SHA-256 is another"),
        (MODEL, made_zip({"other/am/final.mdl": b""}), "holds no Vosk model"),
        (MODEL, b"no zip", "damaged"),
    ],
)
def test_what_is_no_such_model_leaves_nothing(model: LargerModel, body: bytes, why: str) -> None:
    with serving(Site(body)) as site, pytest.raises(DownloadError, match=why):
        fetch(model, print, site.address)
    assert not model.folder.exists()


def test_a_known_sha256_is_that_of_the_archive() -> None:
    with serving(Site(ZIP)) as site:
        fetch(replace(MODEL, sha256=hashlib.sha256(ZIP).hexdigest()), print, site.address)
    assert {len(model.sha256 or "") for model in LARGER_MODELS.values()} == {0, 64}
