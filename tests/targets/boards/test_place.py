import pytest

from sartor import targets
from sartor.errors import UsageError
from sartor.targets.boards import Place


@pytest.mark.parametrize(
    ("text", "cores"),
    [("pi,cores=0", (0,)), ("pi,cores=1-3", (1, 2, 3)), ("pi,cores=0+4-5", (0, 4, 5)), ("pi", ())],
)
def test_cores_are_numbers_and_ranges(text, cores):
    assert Place.parse(text).cores == cores


def test_a_path_in_the_home_folder_is_left_to_the_board():
    assert Place.parse("pi,python=~/venv/bin/python").python == "venv/bin/python"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ssh", "target 'ssh:': '' is no host; write one as ssh does, ssh:pi,runtime=onnxruntime"),
        ("ssh:-oProxyCommand=x", "'-oProxyCommand=x' is no host"),
        ("ssh:pi,pyton=p", "'pyton' is not known; did you mean 'python'? allowed are runtime,"),
        ("ssh:pi,cores", "cores has no value; write cores=…, as in ssh:pi,runtime=onnxruntime"),
        ("ssh:pi,cores=a", "cores 'a' cannot be read; write 0, 0-3 or 0+2"),
        ("ssh:pi,cores=3-1", "cores '3-1' are none"),
        ("ssh:pi,limit=0", "limit '0' must be whole seconds, at least 1"),
        ("ssh:pi,limit=9,limit=9", "limit is given twice; once is enough"),
        (
            "ssh:pi,runtime=onxruntime",
            "runtime 'onxruntime' is not known; did you mean 'onnxruntime'? allowed are onnx",
        ),
        ("onnxruntime:pi", "target onnxruntime takes nothing behind its name, which is 'pi'"),
    ],
)
def test_what_cannot_be_read_says_what_is_allowed(name, said):
    with pytest.raises(UsageError) as raised:
        targets.make(name)
    assert said in str(raised.value)
