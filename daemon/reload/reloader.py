"""New settings and weights for a daemon that runs: made beside the old parts, then handed over.

Everything slow or doubtful happens in a thread of its own, while the loop hears and speaks with
what it has. Only when all new parts are there does the loop get them; if one cannot be made, none
is changed.
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
from daemon.reload.rebuild import renew
from daemon.reload.setting_keys import WEIGHTS_KEYS, touched, untaken
from model.checkpoints.store import Stamp, stamp_of

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0  # between two looks at the weights file


class Reloader:
    """Makes new parts on request, and when a training has written new weights."""

    def __init__(
        self, read: Callable[[], Loaded], loaded: Loaded, made: Components, stamp: Stamp | None
    ) -> None:
        """Take what is in force.

        Args:
            read: reads the settings again; raises ConfigError.
            loaded: the settings.
            made: the parts that were made from them.
            stamp: of the weights file, from before it was loaded.
        """
        self._read = read
        self._loaded = loaded
        self._parts = made
        self._judged = stamp  # the file that is in use, or was refused
        self._seen = stamp
        self._jobs: queue.Queue[ReloadRequest | None] = queue.Queue()
        self._change: Callable[[ComponentUpdate | UpdateRejected], None] = lambda _: None
        self._thread = threading.Thread(target=self._work, name="renewal", daemon=True)

    def start(self, change: Callable[[ComponentUpdate | UpdateRejected], None]) -> None:
        """Begin; `change` hands the loop what is new."""
        self._change = change
        self._thread.start()

    def reload(self) -> ReloadRequest:
        """Read the settings again and look at the weights; one after another if asked twice."""
        asked = ReloadRequest()
        self._jobs.put(asked)
        return asked

    def close(self) -> None:
        """End without waiting for what is being loaded."""
        self._jobs.put(None)

    def _work(self) -> None:
        while True:
            try:
                asked = self._jobs.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self._look()
                continue
            if asked is None:
                return
            try:
                asked.done.set_result(self._reload(asked))
            except Exception as error:
                asked.fail(error)

    def _reload(self, asked: ReloadRequest) -> Result:
        with self._refusing("The old settings stay in force."):
            new = self._read()
            stamp = _stamp_of(new)
            keys = changed_keys(self._loaded, new)
            told: Result = {"changed": keys, "later": untaken(keys)}
            asked.read.set_result(told)
            self._renew(new, keys)
        self._loaded = new
        if touched(keys, WEIGHTS_KEYS):
            self._judged = stamp
        self._take_weights(_stamp_of(new))
        return told

    def _look(self) -> None:
        """Take in new weights; a file that was being written just now is left for the next look."""
        stamp = _stamp_of(self._loaded)
        settled, self._seen = stamp == self._seen, stamp
        if settled:
            with contextlib.suppress(RefusedError, NotRunningError):
                self._take_weights(stamp)

    def _take_weights(self, stamp: Stamp | None) -> None:
        """Take in the weights file with this stamp, if it has not been judged yet."""
        if stamp is None or stamp == self._judged:
            return
        self._judged = stamp
        with self._refusing("The old weights stay in use."):
            self._renew(self._loaded, [], weights=True)

    @contextlib.contextmanager
    def _refusing(self, consolation: str) -> Iterator[None]:
        """Tell the loop, and whoever has asked, why what is new was not taken."""
        try:
            yield
        except NotRunningError:  # the loop has ended meanwhile
            raise
        except Exception as error:
            if not isinstance(error, AfterwordError):  # a fault of ours must not end the watch
                log.exception("what is new could not be taken")
            reason = f"{str(error).rstrip('.')}. {consolation}"
            self._change(UpdateRejected(reason))
            raise RefusedError(reason) from error

    def _renew(self, new: Loaded, keys: list[str], *, weights: bool = False) -> None:
        """Make what is new and wait until the loop goes on with it."""
        made, change = renew(self._parts, new, keys, weights=weights)
        self._change(change)
        change.done.result()
        self._parts = made
        trim_heap()
        trim_heap()  # of the old ones, unless a reply under way still needs them


def _stamp_of(loaded: Loaded) -> Stamp | None:
    return stamp_of(loaded.settings.language, loaded.settings.model.weights)
