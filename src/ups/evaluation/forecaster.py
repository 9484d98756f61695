"""What an evaluation needs of a forecaster, be it a stage of the stack, a baseline or a solver."""

from typing import Protocol

from torch import Tensor

from ups.evaluation.row import Role


class Forecaster(Protocol):
    """A forecaster of physical fields with its costs."""

    @property
    def role(self) -> Role:
        """What it is, and so which rows it is compared with."""
        ...

    @property
    def built_on(self) -> str | None:
        """The row that it is built on, by its name or the part of it before `@`; None: whichever stands above."""
        ...

    @property
    def seconds(self) -> float | None:
        """Seconds per step of one trajectory in the last rollout, of one that times itself; None of all others."""
        ...

    @property
    def parameters(self) -> int:
        """Weights that a forecast uses."""
        ...

    @property
    def train_seconds(self) -> float:
        """Wall-clock seconds spent on training everything that a forecast uses, earlier stages included."""
        ...

    @property
    def evaluations(self) -> float:
        """Network evaluations per step and member, of the last rollout where rollouts differ."""
        ...

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Forecast frames `start + 1 ... start + steps` from frames `0 ... start`, in physical units.

        `truth (b, T, C, *S)` holds the later frames too, which only the autoencoder's floor may look at;
        `params (b, P)` are raw PDE parameters. Returns `(b, M, steps, C, *S)` with M = `members`, or M = 1 from a
        forecaster that does not sample; the draw is a function of `seed`.
        """
        ...
