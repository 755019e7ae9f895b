"""Checks of `afterword wyoming` in a real Home Assistant; scripts/try-home-assistant runs them."""

import asyncio
import io
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import client
import numpy as np
import requests
import soundfile
import soxr
from client import Http, RefusedError, Run, socket
from processes import ROOT, Program, StartError, afterword, free_port, home_assistant
from rich.console import Console
from rich.table import Table
from websockets.exceptions import WebSocketException

RECORDINGS = ROOT / "tests" / "recordings"
READER = ROOT.parent / "shared" / "recordings" / "sentences" / "1688-142285-0000.flac"
AT_ONCE = 18  # assistants, such as one in each room
RATE = 16_000  # samples per second
LOUD = 0.01  # root mean square of speech, of 1
HEAL_SECONDS = 120.0
SEED = "Once upon a time there was a little fox"
FAULTS = (OSError, RefusedError, StartError, WebSocketException, requests.RequestException)


class FailedError(Exception):
    """Something is not as it should be."""


def need(condition: object, otherwise: str) -> None:
    """Raise FailedError with these words if the condition is false."""
    if not condition:
        raise FailedError(otherwise)


@dataclass
class Home:
    """Both programs, and what the checks have found out so far.

    Attributes:
        entities: the entities of the integration, by their domain.
        pipelines: the assistants that were made, by their language.
    """

    hass: Program
    service: Program
    http: Http
    entities: dict[str, str] = field(default_factory=dict)
    pipelines: dict[str, str] = field(default_factory=dict)
    conversation_id: str = ""
    story: str = ""

    async def talk(self, text: str, conversation_id: str = "", language: str = "en") -> Run:
        """Say a text to an assistant, from text to speech."""
        async with socket(self.http) as one:
            options: dict[str, Any] = {"pipeline": self.pipelines[language]}
            if conversation_id:
                options["conversation_id"] = conversation_id
            return await one.run(text=text, **options)

    async def listen(self, sound: bytes, language: str = "en", **options: Any) -> Run:
        """Let an assistant hear a sound, from speech to speech."""
        async with socket(self.http) as one:
            return await one.run(sound, pipeline=self.pipelines[language], **options)


def samples(file: Path | io.BytesIO) -> np.ndarray:
    """A sound file as mono samples at 16 kHz, from -1 to 1, shape (n,)."""
    read, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(read.mean(axis=1), rate, RATE))


def pcm(sound: np.ndarray) -> bytes:
    return (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()


def check_speech(run: Run) -> str:
    """The run has spoken an answer; in words, how long and how soon."""
    need(not run.error, f"error {run.error}")
    need(run.answer and run.sound, f"no answer or no sound: {run}")
    spoken = samples(io.BytesIO(run.sound))
    level = float(np.sqrt(np.mean(spoken**2)))
    need(level > LOUD, f"only silence is spoken: {level:.4f}")
    heard = f"words {run.heard_seconds:.1f} s, " if run.heard else ""
    return (
        f"{len(spoken) / RATE:.1f} s of speech; {heard}first sound {run.sound_seconds:.1f} s after"
    )


def short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


async def start(home: Home) -> str:
    await asyncio.to_thread(home.service.start)
    await asyncio.to_thread(home.hass.start)
    deadline = time.monotonic() + HEAL_SECONDS
    while not requests.get(f"{home.http.base}/api/onboarding", timeout=60).ok:
        need(time.monotonic() < deadline, "Home Assistant has no API")
        await asyncio.sleep(0.5)
    return "both programs"


async def onboard(home: Home) -> str:
    await asyncio.to_thread(client.onboard, home.http, "Tester")
    async with socket(home.http) as one:
        home.http.token = await one.ask(
            "auth/long_lived_access_token", client_name="checks", lifespan=1
        )
        await one.ask("http/config/promote")  # else its address is given up after five minutes
        version = (await one.ask("get_config"))["version"]
    return f"Home Assistant {version}"


async def add_integration(home: Home) -> str:
    title = await asyncio.to_thread(client.add_wyoming, home.http, home.service.port)
    return f"entry “{title}”"


async def find_entities(home: Home) -> str:
    async with socket(home.http) as one:
        for entity in await one.ask("config/entity_registry/list"):
            if entity["platform"] == "wyoming":
                home.entities[entity["entity_id"].partition(".")[0]] = entity["entity_id"]
    need(
        set(home.entities) == {"conversation", "stt", "tts", "wake_word"}, f"found {home.entities}"
    )
    return ", ".join(home.entities.values())


async def find_voices(home: Home) -> str:
    counts = {}
    async with socket(home.http) as one:
        for language in ("en", "zh"):
            found = await one.ask(
                "tts/engine/voices", engine_id=home.entities["tts"], language=language
            )
            counts[language] = found["voices"] or []
            need(counts[language], f"no voice speaks {language}")
    return ", ".join(
        f"{code}: {len(found)} ({found[0]['name']}…)" for code, found in counts.items()
    )


async def make_assistants(home: Home) -> str:
    """Afterword hears, answers and speaks; Home Assistant's own commands go first."""
    async with socket(home.http) as one:
        for language in ("en", "zh"):
            parts = {
                f"{part}_{key}": value
                for part, domain in (("stt", "stt"), ("tts", "tts"), ("conversation",) * 2)
                for key, value in (("engine", home.entities[domain]), ("language", language))
            }
            made = await one.ask(
                "assist_pipeline/pipeline/create",
                name=f"Afterword {language}",
                language=language,
                tts_voice=None,
                wake_word_entity=None,
                wake_word_id=None,
                prefer_local_intents=True,
                **parts,
            )
            home.pipelines[language] = made["id"]
    return "en and zh, prefer_local_intents"


async def begin_story(home: Home) -> str:
    run = await home.talk(SEED)
    told = check_speech(run)
    home.conversation_id, home.story = run.conversation_id, run.answer
    return f"“{short(run.answer)}” {told}"


async def again(home: Home) -> str:
    run = await home.talk("again", home.conversation_id)
    need(run.answer == home.story, f"“{run.answer}” is not “{home.story}”")
    return f"the same, {check_speech(run)}"


async def go_on(home: Home) -> str:
    run = await home.talk("go on", home.conversation_id)
    need(run.answer != home.story, "the same as before")
    need(len(run.answer.split()) > 3, f"“{run.answer}”")
    return f"“{short(run.answer)}” {check_speech(run)}"


async def never_mind(home: Home) -> str:
    """Afterword's own answer; an assistant may take "never mind" for a command of its own."""
    async with socket(home.http) as one:
        result = await one.ask(
            "conversation/process",
            text="never mind",
            conversation_id=home.conversation_id,
            agent_id=home.entities["conversation"],
            language="en",
        )
    answer = result["response"]["speech"]["plain"]["speech"]
    need(0 < len(answer.split()) < 5, f"“{answer}”")
    run = await home.talk("never mind", home.conversation_id)
    need(not run.error, run.error)
    who = "Home Assistant" if run.processed_locally else "Afterword"
    return f"“{answer}”; an assistant: “{run.answer}”, by {who}"


async def another_conversation(home: Home) -> str:
    run = await home.talk("go on")
    need(run.conversation_id != home.conversation_id, "the same conversation")
    need("no story" in run.answer, f"“{run.answer}”")
    return f"“{short(run.answer)}”"


async def switch_a_lamp(home: Home) -> str:
    async with socket(home.http) as one:
        await one.ask(
            "homeassistant/expose_entity",
            assistants=["conversation"],
            entity_ids=["input_boolean.lamp"],
            should_expose=True,
        )
    run = await home.talk("turn on the kitchen lamp")
    need(run.processed_locally, f"Afterword has answered “{run.answer}”")
    return f"Home Assistant: “{run.answer}”"


async def hear(home: Home) -> str:
    file = READER if READER.exists() else RECORDINGS / "no-trigger.wav"
    run = await home.listen(pcm(samples(file)))
    return f"{file.name}: “{short(run.heard)}” → “{short(run.answer)}” {check_speech(run)}"


async def hear_command(home: Home) -> str:
    """A story by text, then "go on" spoken with Afterword's own voice."""
    first = await home.talk(SEED)
    spoken = await say(home, "go on")
    run = await home.listen(spoken, conversation_id=first.conversation_id)
    need(run.heard.rstrip(".").lower() == "go on", f"heard “{run.heard}”")
    need(run.answer != first.answer, "the story does not go on")
    return f"“{run.heard}” → “{short(run.answer)}” {check_speech(run)}"


async def say(home: Home, text: str) -> bytes:
    """A text, spoken by Afterword for Home Assistant's action tts.speak."""
    data = {"engine_id": home.entities["tts"], "message": text, "cache": False}
    url = await asyncio.to_thread(lambda: home.http.post("/api/tts_get_url", **data))
    _, sound = await asyncio.to_thread(home.http.sound, url["path"])
    return pcm(samples(io.BytesIO(sound)))


async def hear_chinese(home: Home) -> str:
    file = RECORDINGS / "chinese-reader.wav"
    run = await home.listen(pcm(samples(file)), "zh")
    need(any(ord(letter) > 0x2E80 for letter in run.answer), f"“{run.answer}”")
    return f"“{run.heard}” → “{short(run.answer, 40)}” {check_speech(run)}"


async def go_on_in_chinese(home: Home) -> str:
    first = await home.talk("从前有一只小狐狸", language="zh")
    run = await home.talk("继续", first.conversation_id, language="zh")
    need(run.answer != first.answer, "the same as before")
    return f"“{short(first.answer, 30)}” → “{short(run.answer, 30)}” {check_speech(run)}"


async def say_no_words(home: Home) -> str:
    sound = await say(home, "...")
    return f"{len(sound) / 2 / RATE:.1f} s of silence"


async def hear_silence(home: Home) -> str:
    run = await home.listen(bytes(2 * RATE * 3))
    need(run.error == "stt-no-text-recognized", f"{run}")
    return run.error


async def many_at_once(home: Home) -> str:
    sound = pcm(samples(RECORDINGS / "no-trigger.wav"))

    async def take_part() -> str | float:
        try:
            run = await home.listen(sound)
        except (*FAULTS, TimeoutError) as error:
            return type(error).__name__
        return run.error or (run.sound_seconds if run.sound else "no sound")

    ends = await asyncio.gather(*(take_part() for _ in range(AT_ONCE)))
    failed = [end for end in ends if isinstance(end, str)]
    seconds = sorted(end for end in ends if not isinstance(end, str))
    need(not failed, f"{len(failed)} failed: {sorted(set(failed))}; the others after {seconds} s")
    return f"all have spoken, first sound {seconds[0]:.1f} to {seconds[-1]:.1f} s after"


async def restart_afterword(home: Home) -> str:
    await asyncio.to_thread(home.service.stop)
    run = await home.talk(SEED)
    await asyncio.to_thread(home.service.start)
    need(run.error, f"answered “{run.answer}” while it is away")
    return f"away: {run.error}, “{run.answer}”; {await heal(home)}"


async def restart_home_assistant(home: Home) -> str:
    await asyncio.to_thread(restart, home)
    return await heal(home)


async def start_in_wrong_order(home: Home) -> str:
    await asyncio.to_thread(home.service.stop)
    await asyncio.to_thread(restart, home)
    await asyncio.sleep(10.0)
    await asyncio.to_thread(home.service.start)
    return await heal(home)


def restart(home: Home) -> None:
    """Restart Home Assistant by its own action."""
    home.http.post("/api/services/homeassistant/restart")
    home.hass.wait()
    home.hass.start()


async def heal(home: Home) -> str:
    """How long it takes until a story can be told again."""
    began = time.monotonic()
    while True:
        try:
            check_speech(await home.talk(SEED))
        except (*FAULTS, FailedError) as error:
            need(time.monotonic() - began < HEAL_SECONDS, f"not healed: {error}")
            await asyncio.sleep(0.5)
        else:
            return f"spoken {time.monotonic() - began:.1f} s after its start, by itself"


async def look_at_logs(home: Home) -> str:
    lines = home.service.log.read_text("utf-8", "replace").splitlines()
    bad = [line for line in lines if "ERROR" in line or "Traceback" in line]
    need(not bad, bad[0] if bad else "")
    return f"{len(lines)} lines of Afterword, no error"


Check = tuple[str, Callable[[Home], Awaitable[str]]]
FIRST: list[Check] = [  # all others need them
    ("both start", start),
    ("first set-up by the API", onboard),
    ("integration added by its form", add_integration),
    ("its entities", find_entities),
    ("an assistant of all three, en and zh", make_assistants),
]
CHECKS: list[Check] = [
    ("voices of each language", find_voices),
    ("text → speech", begin_story),
    ("“again”", again),
    ("“go on”", go_on),
    ("“never mind”", never_mind),
    ("“go on” in a new conversation", another_conversation),
    ("a lamp is no story", switch_a_lamp),
    ("recorded speech → speech, en", hear),
    ("recorded speech → speech, zh", hear_chinese),
    ("“go on” by voice", hear_command),
    ("“继续” (go on), zh", go_on_in_chinese),
    ("“...” is spoken", say_no_words),
    ("silence is heard", hear_silence),
    ("Afterword restarts", restart_afterword),
    ("Home Assistant restarts", restart_home_assistant),
    ("Home Assistant starts before Afterword", start_in_wrong_order),
    (f"{AT_ONCE} assistants at once", many_at_once),
    ("the log of Afterword", look_at_logs),
]


async def run_check(table: Table, home: Home, check: Check) -> bool:
    """Run one check, and add its row; whether it has passed."""
    name, act = check
    began = time.monotonic()
    try:
        passed, detail = True, await act(home)
    except (*FAULTS, FailedError, TimeoutError, KeyError) as error:
        passed, detail = False, f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    row = name, "passed" if passed else "FAILED", f"{seconds:.1f}", detail
    table.add_row(*row)
    print(*row, sep="  ", flush=True)
    return passed


async def run_all(folder: Path) -> Table:
    """Run the checks in turn; the table of them. Both programs are ended in any case."""
    port = free_port()
    home = Home(home_assistant(folder, port), afterword(folder, free_port()), Http(port))
    table = Table(
        "check", "result", "seconds", "what was seen", title="Afterword in Home Assistant"
    )
    try:
        for check in FIRST:
            if not await run_check(table, home, check):
                return table
        for check in CHECKS:
            await run_check(table, home, check)
    finally:
        await asyncio.to_thread(home.hass.stop)
        await asyncio.to_thread(home.service.stop)
    return table


def main() -> None:
    """Run all, print the table; exit code 1 if a check failed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both programs are ended then, too
    table = asyncio.run(run_all(Path(sys.argv[1])))
    Console(width=160).print(table)
    failed = [*table.columns[1].cells].count("FAILED")
    print(f"{table.row_count - failed} passed, {failed} failed; the logs are in {sys.argv[1]}")
    sys.exit(1 if failed else 0)


main()
