"""Reloads settings and weights: new components are built in a thread, then handed to the loop.

The loop recognises and speaks with the old components meanwhile. It gets the new ones only when all
of them are built; if one cannot be built, nothing changes.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator

from config.errors import AfterwordError, NotRunningError, RefusedError
from config.load import Loaded, changed_keys
from daemon.components import Components
from daemon.loop.pending_reloads import ReloadRequest, Result
from daemon.memory import trim_heap
from daemon.ports import ComponentUpdate, UpdateRejected
from daemon.reload.rebuild import Rebuild, move_to_cpu
from daemon.reload.settings import weights_settings
from model.checkpoints.store import Stamp
from model.inference.loading import WeightsWatch, stamps_of

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0  # between two checks of the weights files

Stamps = tuple[Stamp | None, ...]


class Reloader:
    """Builds new components on request, and when a training has written new weights."""

    def __init__(
        self,
        read: Callable[[], Loaded],
        loaded: Loaded,
        components: Components,
        stamps: Stamps,
    ) -> None:
        """Start from what is in force.

        Args:
            read: reads the settings again; raises ConfigError.
            loaded: the settings in force.
            components: the components in use, made from these settings.
            stamps: stamps of the weights files, taken before the files were loaded.
        """
        self._read = read
        self._loaded = loaded
        self._components = components
        self._watch = WeightsWatch(stamps)
        self._jobs: queue.Queue[ReloadRequest | None] = queue.Queue()
        self._send: Callable[[ComponentUpdate | UpdateRejected], None] = lambda _: None
        self._thread = threading.Thread(target=self._work, name="reloader", daemon=True)

    def start(self, send: Callable[[ComponentUpdate | UpdateRejected], None]) -> None:
        """Start the thread; `send` hands a message to the loop."""
        self._send = send
        self._thread.start()

    def begin_reload(self, *, on_cpu: bool = False) -> ReloadRequest:
        """Read the settings again and check the weights; reloads are made one after another.

        Args:
            on_cpu: compute on the CPU from now on, because the device of the model has failed.
        """
        request = ReloadRequest(on_cpu)
        self._jobs.put(request)
        return request

    def close(self) -> None:
        """End the thread, without waiting for what it loads."""
        self._jobs.put(None)

    @property
    def _device(self) -> str | None:
        """In place of `model.device`: the CPU, once it has replaced a device that failed."""
        return "cpu" if self._components.generator.device == "cpu" else None

    def _work(self) -> None:
        while True:
            try:
                request = self._jobs.get(timeout=CHECK_SECONDS)
            except queue.Empty:
                self._check_weights()
                continue
            if request is None:
                return
            try:
                request.done.set_result(self._reload(request))
            except Exception as error:
                request.fail(error)

    def _reload(self, request: ReloadRequest) -> Result:
        if request.on_cpu:
            return self._move_to_cpu(request)
        with self._reporting("The old settings stay in force."):
            new = self._read()
            for notice in new.notices:
                log.warning(notice)
            stamps = stamps_of(new.settings)
            changed = changed_keys(self._loaded, new)
            result: Result = {"changed": changed}
            request.read.set_result(result)
            before = self._loaded.settings
            device = self._device
            if before.model.device != new.settings.model.device:
                device = None  # the user has chosen another device
            self._rebuild(new, changed, weights=False, device=device)
        if weights_settings(before) != weights_settings(new.settings):
            self._watch.handled(stamps)
        self._loaded = new
        self._take_weights(stamps_of(new.settings))
        return result

    def _move_to_cpu(self, request: ReloadRequest) -> Result:
        """Compute on the CPU with the settings in force; the settings file is not read."""
        result: Result = {"changed": []}
        request.read.set_result(result)
        if self._device is None:
            with self._reporting("The model stays on its device."):
                self._hand_over(move_to_cpu(self._components, self._loaded.settings))
        return result

    def _check_weights(self) -> None:
        """Take new weights; a file that is still being written is left for the next check."""
        stamps = stamps_of(self._loaded.settings)
        if self._watch.settled(stamps):
            with contextlib.suppress(RefusedError, NotRunningError):
                self._take_weights(stamps)

    def _take_weights(self, stamps: Stamps) -> None:
        """Take the weights files with these stamps, unless they are in use or were rejected."""
        if not self._watch.take(stamps):
            return
        with self._reporting("The old weights stay in use."):
            self._rebuild(self._loaded, [], weights=True, device=self._device)

    @contextlib.contextmanager
    def _reporting(self, consequence: str) -> Iterator[None]:
        """Report an error to the loop and to the thread that asked."""
        try:
            yield
        except NotRunningError:  # the loop has ended meanwhile
            raise
        except Exception as error:
            if not isinstance(error, AfterwordError):  # a programming error: go on watching
                log.exception("new settings or weights could not be taken")
            reason = f"{str(error).rstrip('.')}. {consequence}"
            self._send(UpdateRejected(reason))
            raise RefusedError(reason) from error

    def _rebuild(
        self, new: Loaded, changed: list[str], *, weights: bool, device: str | None
    ) -> None:
        """Build what is new and hand it over."""
        rebuild = Rebuild(self._components, self._loaded.settings, new, changed)
        self._hand_over(rebuild.run(weights=weights, device=device))

    def _hand_over(self, rebuilt: tuple[Components, ComponentUpdate]) -> None:
        """Send the new components to the loop and wait until it uses them."""
        built, update = rebuilt
        self._send(update)
        update.done.result()
        self._components = built
        trim_heap()  # of the old components, unless a reply in progress still needs them
