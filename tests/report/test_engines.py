from sartor.cost import Band
from sartor.report._engines import HEADINGS, engine_rows
from sartor.runs._summary import design_words
from sartor.targets import Design, EngineDesign


def engine(name, cycles):
    return EngineDesign(
        name=name,
        inputs=3,
        outputs=8,
        weight_bits=4,
        activation_bits=2,
        pe=2,
        simd=9,
        cycles=cycles,
        lut=1234,
        bram=5,
        dsp=0,
    )


DESIGN = Design(
    part="xc7",
    clock_mhz=100.0,
    has={"lut": 10000.0, "bram": 100.0, "dsp": 0.0},
    estimates={
        "fps": Band(950.0, 1000.0, 1050.0),
        "latency": Band(0.001, 0.002, 0.003),
        "lut": Band(2000.0, 2500.0, 3500.0),
        "bram": Band(9.0, 10.0, 14.0),
        "dsp": Band(0.0, 0.0, 0.0),
    },
    engines=(engine("first", 50), engine("second", 70)),
)


def test_the_slowest_engine_is_marked_and_the_device_stands_below():
    rows = engine_rows(DESIGN)
    assert list(rows) == ["first", "second (slowest)", "all, estimated", "xc7"]
    assert rows["first"] == ["3 → 8", "4/2", "2 × 9", "50", "1,234", "5", "0"]
    assert rows["all, estimated"] == ["", "", "", "70", "2,500", "10", "0"]
    assert all(len(cells) == len(HEADINGS) for cells in rows.values())


def test_words_say_that_a_design_is_estimated():
    assert design_words(DESIGN) == (
        "ESTIMATED on xc7 at 100 MHz, not measured: 1,000 fps (950 to 1,050), 2 ms (1 to 3), "
        "2,500 lut (2,000 to 3,500, 25 % of the device), 10 bram (9 to 14, 10 % of the device), "
        "0 dsp (0 to 0); the slowest engine is second with 70 cycles"
    )
