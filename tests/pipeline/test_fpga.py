"""A search for a device that has no floats, whose resources are estimated."""

import pytest

from sartor import compress
from sartor.pipeline import Report, SearchOptions


@pytest.mark.parametrize("methods", [("prune",), ("prune", "quantize")])
def test_what_is_found_is_quantized_throughout_and_fits_as_estimated(model, data, methods):
    found = compress(
        model,
        data,
        budget="fps>=1000,lut<=60%",
        target="fpga:zcu104",
        options=SearchOptions(episodes=3, methods=methods, repair="fit", timed=False),
    )
    report = found.report
    layers = {layer.name for layer in report.layers.best}
    assert set(report.policy.quantized) == layers
    if methods == ("prune",):
        assert all(report.policy.bits(name) == (8, 8) for name in layers)

    assert report.design is not None
    estimates = report.design.estimates
    assert estimates["lut"].high <= 0.6 * report.design.has["lut"]
    assert estimates["fps"].low >= 1000
    assert report.best.estimates == estimates
    assert not report.target.measured
    assert Report.from_json(report.to_json()) == report
