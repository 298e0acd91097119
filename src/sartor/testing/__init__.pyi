from ._agents import AgentConformance as AgentConformance
from ._example import example_network as example_network
from ._fake import FakeTarget as FakeTarget
from ._formats import FormatConformance as FormatConformance
from ._targets import TargetConformance as TargetConformance
