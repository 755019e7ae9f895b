"""scripts/setup, with stand-ins for Python, pip, Debian's tools and PyTorch's index."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.program import ROOT, SECONDS

pytestmark = pytest.mark.slow

# Python as scripts/setup uses it. `calls` gets what pip is asked to do; a line of `refused` is a
# part of a call that fails.
PYTHON = f"""#!/bin/bash
all="$*"
case "$all" in
  "-c import ensurepip, venv") [ ! -e "$STANDIN/no-venv" ] ;;
  "-c import sys; print"*) echo python3.11-venv ;;
  "-m venv"*)
    echo "make .venv" >>"$STANDIN/calls"
    rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m ensurepip"*) echo "#!$PWD/.venv/bin/python" >.venv/bin/pip ;;
  "-m pip config list") cat "$STANDIN/pip-config" 2>/dev/null || true ;;
  "-m pip cache dir") echo "$HOME/.cache/pip" ;;
  "-m pip check") ;;
  "-m pip"*)
    echo "${{all#-m pip --disable-pip-version-check }}" >>"$STANDIN/calls"
    [ "$TMPDIR" -ef .venv/tmp ] || exit 9
    if grep -qsFf "$STANDIN/refused" <<<"$all"; then
      printf 'ERROR: Exception:\\nTraceback (most recent call last):\\n  File "x"\\n' >&2
      printf '    f()\\nOSError: all went wrong\\n' >&2
      cat "$STANDIN/reason" >&2 2>/dev/null
      exit 2
    fi
    [[ $all != *--editable* ]] || cp "$STANDIN/bin/afterword" .venv/bin/afterword ;;
  "- "*) exec {sys.executable} "$@" ;;
esac
"""
# What is fetched goes to `fetched`; it fails if that is a line of `refused`.
AFTERWORD = """#!/bin/bash
echo "$*" >>"$STANDIN/fetched"
! grep -qsFx "$*" "$STANDIN/refused"
"""
# What is free in megabytes: 9,000, or what $STANDIN/free says.
DF = """#!/bin/bash
free=$(cat "$STANDIN/free" 2>/dev/null || echo 9000)
printf 'Filesystem Size Used Available Capacity Mounted\\n/dev/x 9 9 %s 9%% /\\n' "$free"
"""


@dataclass
class Checkout:
    """A checkout that has only what scripts/setup reads."""

    root: Path
    standin: Path
    environment: dict[str, str] = field(default_factory=dict)

    def tool(self, name: str, text: str) -> None:
        path = self.standin / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def setup(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        (self.standin / "calls").write_text("")
        return subprocess.run(
            [self.root / "scripts" / "setup", *arguments],
            env={
                "PATH": f"{self.standin / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin",
                "HOME": str(self.standin),
                "STANDIN": str(self.standin),
                "PYTHON": str(self.standin / "bin" / "python"),
                **self.environment,
                **more,
            },
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )

    @property
    def calls(self) -> list[str]:
        return (self.standin / "calls").read_text().splitlines()

    @property
    def fetched(self) -> list[str]:
        return (self.standin / "fetched").read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root, standin = tmp_path / "afterword", tmp_path / "standin"
    (root / "scripts").mkdir(parents=True)
    standin.mkdir()
    shutil.copy(ROOT / "scripts" / "setup", root / "scripts")
    shutil.copytree(ROOT / "requirements", root / "requirements")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    made = Checkout(root, standin)
    made.tool("python", PYTHON)
    made.tool("afterword", AFTERWORD)
    made.tool("df", DF)
    made.tool("nvidia-smi", "#!/bin/sh\nexit 9\n")
    for name in ("sudo", "apt-get"):
        made.tool(name, "#!/bin/sh\nexit 1\n")
    made.environment["AFTERWORD_TORCH_INDEX"] = "http://127.0.0.1:9"  # nobody answers
    return made


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of a package index that knows torch."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "index" / "torch").mkdir(parents=True)
    handler = partial(Quiet, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


BY_HASH = "install --no-deps --require-hashes --requirement requirements/"
without_driver = pytest.mark.skipif(
    Path("/proc/driver/nvidia/version").exists(), reason="this machine has an NVIDIA driver"
)


@without_driver
def test_without_a_driver_torch_comes_from_the_index_for_the_cpu(
    checkout: Checkout, index: str
) -> None:
    done = checkout.setup(AFTERWORD_TORCH_INDEX=index)
    assert done.returncode == 0, done.stderr
    assert f"{BY_HASH}torch-cpu.txt --index-url {index}" in checkout.calls
    assert f"{BY_HASH}torch.txt" not in checkout.calls
    assert "for the CPU (200 MB)" in done.stderr
    assert not (checkout.root / ".venv" / "tmp").exists()


def test_with_a_driver_torch_comes_from_pypi(checkout: Checkout, index: str) -> None:
    checkout.tool("nvidia-smi", '#!/bin/sh\necho "GPU 0: NVIDIA H200 (UUID: GPU-1)"\n')
    done = checkout.setup(AFTERWORD_TORCH_INDEX=index)
    assert done.returncode == 0, done.stderr
    assert f"{BY_HASH}torch.txt" in checkout.calls
    assert not any("torch-cpu" in call for call in checkout.calls)


def test_an_index_that_cannot_be_reached_is_told_in_one_line(checkout: Checkout) -> None:
    (checkout.standin / "refused").write_text("torch-cpu.txt\n")
    done = checkout.setup(AFTERWORD_TORCH="cpu")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "cannot be reached" in line]
    assert len(told) == 1
    assert "http://127.0.0.1:9" in told[0]
    assert checkout.calls[-2] == f"{BY_HASH}torch.txt"
    assert "2700 MB" in done.stderr


def test_without_the_index_the_users_own_places_are_asked(checkout: Checkout) -> None:
    (checkout.standin / "refused").write_text("torch-cpu.txt\n")
    (checkout.standin / "pip-config").write_text("global.find-links='/opt/wheels'\n")
    done = checkout.setup(AFTERWORD_TORCH="cpu")
    assert "install --constraint constraints.txt --no-index torch" in checkout.calls
    assert "without a known hash" in done.stderr
    shutil.rmtree(checkout.root / ".venv")
    places = "global.extra-index-url='https://a.example/simple https://b.example'\n"
    (checkout.standin / "pip-config").write_text(places)
    checkout.setup(AFTERWORD_TORCH="cpu")
    other = "install --constraint constraints.txt --index-url https://a.example/simple torch"
    assert other in checkout.calls
    assert f"{BY_HASH}torch.txt" not in checkout.calls


def test_a_wrong_build_is_refused_in_one_sentence(checkout: Checkout) -> None:
    done = checkout.setup(AFTERWORD_TORCH="gpu")
    assert done.returncode != 0
    assert done.stderr == 'setup: AFTERWORD_TORCH is "gpu"; it may be cpu or cuda\n'
    assert not checkout.calls


def test_the_build_asked_for_replaces_the_one_installed(checkout: Checkout) -> None:
    assert checkout.setup(AFTERWORD_TORCH="cpu").returncode == 0
    site = checkout.root / ".venv" / "lib" / "python3.11" / "site-packages"
    (site / "torch").mkdir(parents=True)
    (site / "torch-2.13.0+cpu.dist-info").mkdir()
    assert not checkout.setup().returncode
    assert not checkout.calls
    assert not checkout.setup(AFTERWORD_TORCH="cuda").returncode
    (removed,) = [call for call in checkout.calls if call.startswith("uninstall")]
    assert "torch" in removed.split()
    assert f"{BY_HASH}torch.txt" in checkout.calls


def test_a_disk_that_is_too_small_is_told_before_anything_is_downloaded(checkout: Checkout) -> None:
    (checkout.standin / "free").write_text("800")
    done = checkout.setup(AFTERWORD_TORCH="cpu")
    assert done.returncode != 0
    assert "MB are needed" in done.stderr
    assert "800 are free" in done.stderr
    assert done.stderr.count("\n") == 1
    assert checkout.calls == ["make .venv"]


def test_pips_cache_is_not_used_if_its_disk_is_too_small(checkout: Checkout) -> None:
    (checkout.standin / "free").write_text("1600")
    done = checkout.setup(AFTERWORD_TORCH="cpu")
    assert done.returncode == 0, done.stderr
    assert "pip's cache is not used" in done.stderr


def test_an_interrupted_set_up_is_begun_anew_and_a_finished_one_does_nothing(
    checkout: Checkout,
) -> None:
    (checkout.standin / "refused").write_text("requirements/run.txt\n")
    failed = checkout.setup(AFTERWORD_TORCH="cpu")
    assert failed.returncode != 0
    assert failed.stderr.splitlines()[-2:] == [
        "OSError: all went wrong",
        "setup: the packages could not be installed; what was downloaded is kept: "
        "run scripts/setup again",
    ]
    (checkout.standin / "refused").unlink()
    assert checkout.setup().returncode == 0
    assert checkout.calls[0] == "make .venv"
    again = checkout.setup()
    assert (again.returncode, again.stderr, checkout.calls) == (0, "", [])


def test_the_tests_get_every_model_the_chinese_voice_and_the_large_weights(
    checkout: Checkout,
) -> None:
    assert checkout.setup().returncode == 0
    assert checkout.fetched == ["models fetch en"]
    assert checkout.setup("--test").returncode == 0
    assert checkout.fetched[1:] == ["models fetch all", "voices fetch zh", "weights fetch large"]


@pytest.mark.parametrize(
    ("refused", "lacking"),
    [("voices fetch zh", "the Chinese voice"), ("weights fetch large", "the large weights")],
)
def test_without_a_voice_or_weights_setup_goes_on(
    refused: str, lacking: str, checkout: Checkout
) -> None:
    (checkout.standin / "refused").write_text(f"{refused}\n")
    done = checkout.setup("--test", AFTERWORD_TORCH="cpu")
    assert done.returncode == 0, done.stderr
    assert f"going on without {lacking}" in done.stderr.splitlines()[-1]


def test_without_a_network_one_sentence_says_so(checkout: Checkout) -> None:
    (checkout.standin / "refused").write_text("requirements/run.txt\n")
    (checkout.standin / "reason").write_text(
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'x': /simple\n"
        "ERROR: No matching distribution found for numpy==2.4.6\n"
    )
    done = checkout.setup(AFTERWORD_TORCH="cpu")
    assert done.returncode != 0
    assert "cannot be reached" in done.stderr
    assert "No matching" not in done.stderr


@pytest.mark.parametrize("lost", ["bin/python", "bin/pip"])
def test_a_venv_whose_python_is_gone_is_made_anew(lost: str, checkout: Checkout) -> None:
    assert checkout.setup().returncode == 0
    (checkout.root / ".venv" / lost).unlink()
    assert checkout.setup().returncode == 0
    assert checkout.calls[0] == "make .venv"


def test_a_venv_of_another_folder_is_made_anew(checkout: Checkout) -> None:
    assert checkout.setup().returncode == 0
    moved = Checkout(checkout.root.with_name("moved"), checkout.standin, checkout.environment)
    checkout.root.rename(moved.root)
    assert moved.setup().returncode == 0
    assert moved.calls[0] == "make .venv"


def test_two_set_ups_of_a_checkout_wait_for_one_another(checkout: Checkout) -> None:
    holder = subprocess.Popen(
        ["flock", checkout.root, "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert holder.stdin
    with holder, subprocess.Popen(["true"]):
        while subprocess.run(["flock", "-n", checkout.root, "true"]).returncode == 0:
            pass
        timer = threading.Timer(1, holder.stdin.close)
        timer.start()
        done = checkout.setup()
    assert "another set-up is at work here" in done.stderr
    assert done.returncode == 0


class TestDebianPackages:
    @pytest.fixture(autouse=True)
    def without_venv(self, checkout: Checkout) -> None:
        (checkout.standin / "no-venv").touch()

    def test_without_sudo_one_line_names_what_an_administrator_must_run(
        self, checkout: Checkout
    ) -> None:
        checkout.tool("id", "#!/bin/sh\necho 1000\n")
        done = checkout.setup()
        assert done.returncode != 0
        assert "apt-get install -y --no-install-recommends python3.11-venv" in done.stderr
        assert "run scripts/setup again" in done.stderr
        assert done.stderr.count("\n") == 2
        assert not checkout.calls

    def test_with_sudo_nothing_of_apt_is_shown(self, checkout: Checkout) -> None:
        checkout.tool("id", "#!/bin/sh\necho 1000\n")
        checkout.tool("sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\n"$@"\n')
        checkout.tool(
            "apt-get",
            '#!/bin/sh\necho "debconf: unable to initialize frontend" >&2\necho "Reading lists"\n'
            '[ "$2" = update ] || [ "$DEBIAN_FRONTEND" = noninteractive ] || exit 5\n',
        )
        done = checkout.setup()
        assert done.returncode == 0, done.stderr
        assert "debconf" not in done.stdout + done.stderr
        assert "Reading" not in done.stdout + done.stderr
        assert "setup: installing python3.11-venv (sudo may ask" in done.stderr

    def test_what_apt_says_is_shown_if_it_fails(self, checkout: Checkout) -> None:
        checkout.tool("id", "#!/bin/sh\necho 0\n")
        checkout.tool("apt-get", '#!/bin/sh\necho "E: Unable to locate package" >&2\nexit 100\n')
        done = checkout.setup()
        assert done.returncode != 0
        assert "E: Unable to locate package" in done.stderr
