"""What is made of measured values: medians, quantiles, ratios, verdicts, and what counts as a regression."""

from __future__ import annotations

import pytest
from benchmarks.check import bounds, regressions
from benchmarks.figures import Figure, Measured, Target, met, quantile, ratio

LOAD = Figure("load", "load", target=Target(frr=0.5, bird=1.0))
LOSS = Figure("loss", "loss", target=Target(absolute=0.005))
FIGURES = {"load": LOAD, "loss": LOSS}


def _of(**values: float | tuple[float, ...]) -> dict[str, Measured]:
    return {name: Measured(each if isinstance(each, tuple) else (each,)) for name, each in values.items()}


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1), (0.001, 1), (0.991, 100)])
def test_a_quantile_is_a_value_that_was_measured(share: float, wanted: int) -> None:
    assert quantile([float(n) for n in range(100, 0, -1)], share) == wanted


def test_one_value_is_all_its_quantiles() -> None:
    assert quantile([7.0], 0.5) == quantile([7.0], 0.99) == 7.0


def test_the_ratio_is_of_medians() -> None:
    measured = _of(routerd=(1.0, 2.0, 90.0), frr=(4.0, 4.0, 5.0))
    assert ratio(measured, "frr") == 0.5
    assert ratio(measured, "bird") is None
    assert ratio(_of(routerd=1.0, frr=0.0), "frr") is None
    assert ratio(_of(frr=1.0), "frr") is None


def test_a_target_is_met_when_all_its_parts_are() -> None:
    assert met(LOAD, _of(routerd=1.0, frr=2.0, bird=1.0)) is True
    assert met(LOAD, _of(routerd=1.0, frr=1.9, bird=1.0)) is False
    assert met(LOAD, _of(routerd=1.0, frr=2.0, bird=0.9)) is False
    assert met(LOAD, _of(routerd=1.0, frr=2.0)) is None
    assert met(LOSS, _of(routerd=0.005)) is True
    assert met(LOSS, _of(routerd=0.006)) is False
    assert met(LOSS, _of(frr=0.001)) is None


def test_a_work_without_a_number_as_target_is_to_complete() -> None:
    figure = Figure("all", "all")
    assert figure.wanted() == "completes"
    assert met(figure, _of(routerd=1.0)) is True


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [("s", 1.234, "1.23 s"), ("s", 0.0123, "12.3 ms"), ("s", 0.00045, "0.45 ms"), ("B", 2.5e9, "2,500 MB")],
)
def test_values_are_shown_in_their_unit(unit: str, value: float, text: str) -> None:
    assert Figure("x", "x", unit).text(value) == text


def test_a_fault_in_one_run_of_many_is_a_fault() -> None:
    figure = Figure("broken", "broken flows", "n", Target(absolute=0))
    assert figure.wanted() == "<= 0"
    assert met(figure, _of(routerd=(0.0, 0.0, 0.0))) is True
    assert met(figure, _of(routerd=(0.0, 0.0, 1.0))) is False
    assert figure.text(figure.value(Measured((0.0, 0.0, 1_234.0)))) == "1,234"


def test_more_faults_than_recorded_are_a_regression_whatever_the_others_do() -> None:
    broken = {"broken": Figure("broken", "broken flows", "n")}
    recorded = {"broken": _of(routerd=(0.0, 2.0), frr=(0.0, 0.0))}
    assert regressions(broken, recorded, {"broken": _of(routerd=(2.0, 0.0), frr=0.0)}) == []
    assert regressions(broken, recorded, {"broken": _of(routerd=(0.0, 3.0), frr=0.0)}) == [
        "broken flows: 3, recorded 2"
    ]


def test_a_share_of_a_core_is_shown_in_percent() -> None:
    assert Figure("x", "x", "%", Target(absolute=0.1)).wanted() == "<= 10.00 %"


def test_bounds_span_all_that_the_values_allow() -> None:
    assert bounds(_of(routerd=(1.0, 2.0), frr=(4.0, 8.0)), "frr") == (0.125, 0.5)


def test_slower_by_more_than_noise_is_a_regression() -> None:
    recorded = {"load": _of(routerd=(1.0, 1.1, 1.2), frr=(4.0, 4.1, 4.2))}
    slower = {"load": _of(routerd=(2.0, 2.1, 2.2), frr=(4.0, 4.1, 4.2))}
    (line,) = regressions(FIGURES, recorded, slower)
    assert line == "load: 0.512 x FRR, recorded 0.268 x"


def test_a_slower_machine_is_not_a_regression() -> None:
    recorded = {"load": _of(routerd=(1.0, 1.1), frr=(4.0, 4.1), bird=2.0)}
    twice = {"load": _of(routerd=(2.0, 2.2), frr=(8.0, 8.2), bird=4.0)}
    assert regressions(FIGURES, recorded, twice) == []


def test_what_the_noise_explains_is_not_a_regression() -> None:
    recorded = {"load": _of(routerd=(1.0, 1.1, 2.0), frr=4.0)}
    assert regressions(FIGURES, recorded, {"load": _of(routerd=(1.5, 2.5, 2.6), frr=4.0)}) == []
    recorded = {"load": _of(routerd=1.0, frr=4.0)}
    assert regressions(FIGURES, recorded, {"load": _of(routerd=1.24, frr=4.0)}) == []


def test_each_rival_is_compared_with_by_itself() -> None:
    recorded = {"load": _of(routerd=1.0, frr=4.0, bird=2.0)}
    found = regressions(FIGURES, recorded, {"load": _of(routerd=1.0, frr=4.0, bird=1.0)})
    assert found == ["load: 1 x BIRD, recorded 0.5 x"]


def test_a_figure_of_routerd_alone_is_compared_as_it_is() -> None:
    recorded = {"loss": _of(routerd=(0.001, 0.002))}
    assert regressions(FIGURES, recorded, {"loss": _of(routerd=(0.0029, 0.0031))}) == []
    assert regressions(FIGURES, recorded, {"loss": _of(routerd=(0.010, 0.011))}) == [
        "loss: 10.5 ms, recorded 1.50 ms"
    ]


def test_what_was_not_measured_is_passed_over() -> None:
    assert regressions(FIGURES, {}, {"load": _of(routerd=1.0)}) == []
    assert regressions(FIGURES, {"load": _of(routerd=1.0)}, {}) == []
    assert regressions(FIGURES, {"load": _of(frr=1.0)}, {"load": _of(routerd=1.0, frr=1.0)}) == []
