"""A client of Home Assistant's API: HTTP for the set-up, a WebSocket for all else."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection, connect

SECONDS = 600.0  # for one answer, on a busy machine; Home Assistant gives up after 300 by itself
_CHUNK_SECONDS = 0.064  # of sound, as satellites send it
_RATE = 16_000  # samples per second
Json = dict[str, Any]


class RefusedError(Exception):
    """Home Assistant answers with an error."""


@dataclass
class Run:
    """What came of one run of a pipeline.

    Attributes:
        sound: as it comes from Home Assistant, MP3.
        error: the code of the error that ended it.
        processed_locally: Home Assistant has followed a command of its own.
        heard_seconds: from the end of the recording to its words.
        sound_seconds: from the end of the recording, or from the text, to the first piece of sound.
    """

    heard: str = ""
    answer: str = ""
    conversation_id: str = ""
    sound: bytes = b""
    error: str = ""
    processed_locally: bool = False
    heard_seconds: float = 0.0
    sound_seconds: float = 0.0


class Http:
    """Requests to the REST API, for any thread."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.token = ""

    def post(self, path: str, *, form: bool = False, **data: Any) -> Json:
        """Send data, as JSON or as a form; the answer.

        Raises:
            RefusedError: the status is not that of success.
        """
        kind: Json = {"data": data} if form else {"json": data}
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = requests.post(f"{self.base}{path}", headers=headers, timeout=SECONDS, **kind)
        if not answer.ok:
            raise RefusedError(f"{path}: {answer.status_code} {answer.text}")
        return dict(answer.json()) if isinstance(answer.json(), dict) else {}

    def sound(self, path: str) -> tuple[float, bytes]:
        """A sound: when its first piece came, in seconds of time.monotonic, and all of it.

        Raises:
            RefusedError: there is none.
        """
        with requests.get(f"{self.base}{path}", stream=True, timeout=SECONDS) as answer:
            if not answer.ok:
                raise RefusedError(f"{path}: {answer.status_code}")
            first, pieces = 0.0, []
            for piece in answer.iter_content(None):
                first = first or time.monotonic()
                pieces.append(piece)
            return first, b"".join(pieces)


@dataclass
class Socket:
    """One connection to the WebSocket API; for one task at a time."""

    http: Http
    _connection: ClientConnection
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def ask(self, type: str, **data: Any) -> Any:
        """Send a command; its result.

        Raises:
            RefusedError: it fails.
        """
        await self._send(type, data)
        async with asyncio.timeout(SECONDS):
            message = await self._receive()
        return message["result"]

    async def run(self, sound: bytes = b"", text: str = "", **options: Any) -> Run:
        """Run a pipeline from a sound (16 bits, 16 kHz), or from a text, to speech.

        Raises:
            RefusedError: it does not begin. An error on the way is told in the result.
        """
        stage = "intent" if text else "stt"
        given: Json = {"text": text} if text else {"sample_rate": _RATE}
        await self._send(
            "assist_pipeline/run",
            {"start_stage": stage, "end_stage": "tts", "input": given}
            | {"timeout": SECONDS, **options},
        )
        began, run, feeding = time.monotonic(), Run(), None
        if sound:
            began += len(sound) / 2 / _RATE
        try:
            async with asyncio.timeout(SECONDS):
                await self._receive()
                async for event in self._events():
                    data = event["data"] or {}
                    match event["type"]:
                        case "run-start" if sound:
                            handler = data["runner_data"]["stt_binary_handler_id"]
                            feeding = asyncio.create_task(self._feed(handler, sound))
                        case "stt-vad-end" if feeding:
                            feeding.cancel()
                        case "stt-end":
                            run.heard = data["stt_output"]["text"]
                            run.heard_seconds = time.monotonic() - began
                        case "intent-end":
                            _take_answer(run, data)
                        case "tts-end":
                            url = data["tts_output"]["url"]
                            await self._take_sound(run, url, began)
                        case "error":
                            run.error = data["code"]
        finally:
            if feeding:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        return run

    async def _take_sound(self, run: Run, url: str, began: float) -> None:
        try:
            first, run.sound = await asyncio.to_thread(self.http.sound, url)
            run.sound_seconds = first - began
        except RefusedError:
            run.error = "no speech"

    async def _feed(self, handler: int, sound: bytes) -> None:
        """Send a sound as fast as a microphone gives it, then silence until it is taken."""
        size = int(_CHUNK_SECONDS * _RATE) * 2
        due = time.monotonic()
        for start in itertools.count(0, size):
            chunk = sound[start : start + size].ljust(size, b"\0")
            await self._connection.send(bytes([handler]) + chunk)
            due += _CHUNK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _events(self) -> AsyncIterator[Json]:
        """The events of a pipeline, until its end."""
        while True:
            event = (await self._receive())["event"]
            yield event
            if event["type"] == "run-end":
                return

    async def _send(self, type: str, data: Json) -> None:
        await self._connection.send(json.dumps({"id": next(self._numbers), "type": type, **data}))

    async def _receive(self) -> Json:
        message: Json = json.loads(await self._connection.recv())
        if not message.get("success", True):
            raise RefusedError(f"{message['error']['code']}: {message['error']['message']}")
        return message


@asynccontextmanager
async def socket(http: Http) -> AsyncIterator[Socket]:
    """A connection to the WebSocket API, until the end of the block."""
    async with connect(f"{http.base.replace('http', 'ws')}/api/websocket", max_size=None) as one:
        await one.recv()
        await one.send(json.dumps({"type": "auth", "access_token": http.token}))
        answer = json.loads(await one.recv())
        if answer["type"] != "auth_ok":
            raise RefusedError(f"{answer}")
        yield Socket(http, one)


def _take_answer(run: Run, data: Json) -> None:
    output = data["intent_output"]
    run.processed_locally = bool(data.get("processed_locally"))
    run.conversation_id = output["conversation_id"] or ""
    run.answer = output["response"]["speech"].get("plain", {}).get("speech", "")


def onboard(http: Http, name: str) -> None:
    """Create the first user, and finish the first set-up as the pages in a browser do.

    Raises:
        RefusedError: it is done already.
    """
    client = f"{http.base}/"
    user = {"name": name, "username": name.lower(), "password": name, "client_id": client}
    code = http.post("/api/onboarding/users", language="en", **user)["auth_code"]
    grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
    http.token = http.post("/auth/token", form=True, **grant)["access_token"]
    http.post("/api/onboarding/core_config")
    http.post("/api/onboarding/analytics")
    http.post("/api/onboarding/integration", client_id=client, redirect_uri=client)


def add_wyoming(http: Http, port: int) -> str:
    """Add the integration by its form; the title of its entry.

    Raises:
        RefusedError: Home Assistant does not connect.
    """
    flows = "/api/config/config_entries/flow"
    flow = http.post(flows, handler="wyoming")["flow_id"]
    result = http.post(f"{flows}/{flow}", host="127.0.0.1", port=port)
    if result["type"] != "create_entry":
        raise RefusedError(f"{result.get('errors') or result.get('reason')}")
    return str(result["title"])
