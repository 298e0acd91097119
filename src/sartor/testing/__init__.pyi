from ._conformance import AgentConformance as AgentConformance
from ._conformance import FakeTarget as FakeTarget
from ._conformance import TargetConformance as TargetConformance
from ._conformance import break_scale as break_scale
from ._conformance import example_network as example_network
