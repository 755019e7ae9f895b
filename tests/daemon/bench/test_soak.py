"""The soak test at a small size, and its report."""

from pathlib import Path

import pytest

from config.load import load
from daemon.bench import soak
from daemon.bench.soak import Point, Report


def test_minutes_of_sound_are_served_and_nothing_grows(vosk_en: Path) -> None:
    progress: list[str] = []
    settings = load(None, (f"hearing.model={vosk_en}", "model.max_sentences=1")).settings
    report = soak.soak(settings, 0.04, 36, progress.append)
    assert (report.wanted, report.problems()) == (4, []), progress
    assert len(report.points) == len(progress) == 2
    assert report.points[0].children == 1  # the TTS worker
    assert report.false == 0


def point(memory_mb: float, descriptors: int = 9) -> Point:
    return Point(1.0, memory_mb, descriptors, 3, 1)


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (
            Report(3, 2, 0, [point(100), point(100)], unheard=[1.25]),
            "1 of 3 triggers were not served (not heard: 1.250,",
        ),
        (Report(3, 3, 0, [point(100), point(106), point(100)]), "memory grew by 6.0%"),
        (Report(3, 3, 0, [point(100), point(100, 10)]), "descriptors, threads or children"),
    ],
)
def test_problems_are_reported(report: Report, problem: str) -> None:
    assert [found[: len(problem)] for found in report.problems()] == [problem]


def test_growth_within_the_limit_is_no_problem() -> None:
    assert Report(3, 3, 1, [point(100), point(104), point(99)]).problems() == []
