from ._agent import PlannerAgent as PlannerAgent
from ._experience import Decisions as Decisions
from ._experience import Experience as Experience
