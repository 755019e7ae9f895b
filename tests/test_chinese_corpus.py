"""scripts/make-chinese-corpus on a small package with the layout of chinese-poetry."""

import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "make-chinese-corpus"
LYRIC = ["帘卷轻风怜小春。", "荷枯菊悴正愁人。", "江梅喜见一枝新。"]
DAWN = ["春眠不覺曉，處處聞啼鳥。", "夜來風雨聲（一作欲），花落知多少。"]
GAP = ["綺殿千尋起，離宮百雉餘。", "連甍遙接□，飛觀迥凌虛。"]
RARE = ["浦映花花映，無尽處花紅。", "恍然身入路，隠者亦多愁。"]
IRREGULAR = ["欲出未出光辣達，千山萬山如火發。", "須臾走向天上來，逐卻殘星趕月。"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write(tmp_path / "dist/songci/ci.song.0.json", LYRIC)
    write(tmp_path / "dist/yudingquantangshi/json/001.json", ["".join(DAWN)])
    write(tmp_path / "dist/quantangshi/poet.tang.0.json", DAWN, GAP)
    write(tmp_path / "dist/quantangshi/poet.song.0.json", RARE, IRREGULAR)
    return tmp_path


def write(path: Path, *bodies: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"author": "佚名", "paragraphs": body} for body in bodies]))


def make(package: Path, *options: str) -> list[str]:
    out = package / "poems.txt.xz"
    command = [sys.executable, str(SCRIPT), str(out), "--package", str(package), *options]
    subprocess.run(command, check=True, capture_output=True)
    return lzma.open(out, "rt", encoding="utf-8").read().split("<|endoftext|>\n")


def test_poems_are_simplified_without_notes_gaps_and_repetitions(package: Path) -> None:
    assert make(package) == [
        "帘卷轻风怜小春。\n荷枯菊悴正愁人。\n江梅喜见一枝新。\n",
        "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。\n",
        "浦映花花映，无尽处花红。\n恍然身入路，隠者亦多愁。\n",
        "欲出未出光辣达，千山万山如火发。\n须臾走向天上来，逐却残星赶月。\n",
        "",
    ]


def test_regular_keeps_equal_lines_of_common_characters(package: Path) -> None:
    assert make(package, "--regular") == [
        "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。\n",
        "",
    ]


def test_a_folder_without_poems_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "out.xz"), "--package", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"make-chinese-corpus: there are no poems in {tmp_path}; "
        "is it an unpacked chinese-poetry@2.0.1?"
    )
    assert list(tmp_path.iterdir()) == []
