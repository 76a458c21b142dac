"""The loss: squared error of the stretch that was taken out."""

from dataclasses import dataclass

from selfmis_plugin import toolkit
from selfmis_plugin.training.split_criterion import SplitCriterion


@dataclass
class OwnCriterionConfig(toolkit.Dataclass): ...


@toolkit.register_criterion("own_error", dataclass=OwnCriterionConfig)
class OwnCriterion(SplitCriterion):
    figure_names = ("error",)

    @classmethod
    def build_criterion(cls, cfg, task):
        return cls(task)

    def compute(self, model, sample):
        """Return the loss summed over records, and what validation collects of each."""
        target, made = model(**sample["net_input"])
        error = (made.float() - target.float()).square().mean((1, 2))
        return error.sum(), {"error": error[:, None]}

    def figures(self, collected):
        return {"error": float(collected["error"].mean())}
