from ._agent import PlannerAgent as PlannerAgent
