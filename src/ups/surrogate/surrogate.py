"""The trained surrogate as its users see it: encode, step, decode, roll out, with members or without.

u_t --encode--> z_t --operator(dt, c)--> z_t+1 --decode--> u_t+1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.core.memory import require_room
from ups.core.stages import samplers
from ups.core.system import System
from ups.models.latent_operator import LatentModel, roll_out
from ups.models.residual_head import ResidualCondition, ResidualHead
from ups.models.steady_prior import SteadyPrior
from ups.surrogate.arguments import LARGEST_SEED, MOST_EVALUATIONS, Params, conditions, initial_states, whole_number
from ups.surrogate.forecast import Forecast, Origin
from ups.surrogate.restore import (
    ModelFile,
    again_command,
    build_head,
    build_model,
    build_steady,
    load_weights,
    require_same_operator,
)


class Surrogate:
    """A trained model in physical units.

    Attributes:
        model: Codec and operator.
        has_operator: Whether that operator is trained; not in a run of a steady prior alone, which has no rollouts.
        heads: Samplers of the operator's residual by name: `diffusion`, `crps`, `consistency`.
        steady_prior: Stage 4, or None.
        system: Channels, grid, boundary, parameters and time step of the data it was trained on.
        space: Where rollouts run unless asked otherwise, `field` or `latent`.
        data_hash: Hash of the data and splits it was trained on.
        run: The folder it was opened from.
        train_seconds: Time spent on training, by stage.
    """

    def __init__(
        self,
        model: LatentModel,
        *,
        heads: Mapping[str, ResidualHead] | None = None,
        steady_prior: SteadyPrior | None = None,
        has_operator: bool = True,
        space: str = "field",
        data_hash: str = "",
        run: str = "",
        train_seconds: Mapping[str, float] | None = None,
        device: torch.device | str = "cpu",
    ):
        self.device = torch.device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.heads, self.steady_prior = dict(heads or {}), steady_prior
        for module in (*(head.network for head in self.heads.values()), *([steady_prior] if steady_prior else [])):
            module.to(self.device)
        self.space, self.run, self.has_operator = space, run, has_operator
        self.data_hash, self.train_seconds = data_hash, dict(train_seconds or {})

    @property
    def system(self) -> System:
        """What the data are."""
        return self.model.system

    @property
    def parameters(self) -> int:
        """Number of weights of codec and operator."""
        return sum(p.numel() for p in (self.model if self.has_operator else self.model.codec).parameters())

    @classmethod
    def load(cls, run: str | Path, device: torch.device | str = "cpu") -> Surrogate:
        """Opens a run folder.

        Raises:
            UserError: There is neither a trained operator nor a steady prior that does without, or a file is damaged,
                foreign, or belongs to another operator.
        """
        weights = load_weights(Path(run) / "checkpoints", device)
        model, prior, has_operator = build_model(weights), weights.get("steady_prior"), "operator" in weights
        if has_operator:
            require_same_operator(model, weights)
        known = weights["operator" if has_operator else "steady_prior"].saved
        assert isinstance(known, ModelFile)
        return cls(
            model,
            heads={
                sampler: build_head(model, weights[spec.name], device)
                for sampler, spec in samplers().items()
                if spec.name in weights
            },
            steady_prior=build_steady(model, prior).to(device) if prior else None,
            has_operator=has_operator,
            space=known.rollout_space,
            data_hash=known.data_hash,
            run=str(run),
            train_seconds={name: found.saved.train_seconds for name, found in weights.items()},
            device=device,
        )

    @torch.no_grad()
    def encode(self, u: Tensor, domain: Domain | None = None) -> Tensor:
        """Physical fields (B, C, *S) -> latent tokens (B, N, D); `domain` as in `rollout`."""
        return self.model.codec.encode(u.to(self.device), domain)

    @torch.no_grad()
    def decode(self, z: Tensor, domain: Domain | None = None, points: Tensor | None = None) -> Tensor:
        """Latent tokens (B, N, D) -> physical fields (B, C, *S), or (B, C, Q) at `points` (Q, axes) in units of length;
        `domain` is what they were encoded on."""
        return self.model.codec.decode(z.to(self.device), domain, points)

    @torch.no_grad()
    def rollout(
        self,
        u0: Any,
        steps: int,
        *,
        params: Params | None = None,
        members: int = 1,
        sampler: str = "auto",
        nfe: int | None = None,
        space: str | None = None,
        dt: float | None = None,
        seed: int = 0,
        batch: int = 64,
        domain: Domain | None = None,
    ) -> Forecast:
        """Forecasts from initial states.

        Args:
            u0: Physical fields, (B, C, *S); (C, *S), (B, *S) with one channel, and (*S) are understood.
            steps: Steps of `dt` to go.
            params: PDE parameters, (B, P) or (P,) in the order of `system.param_names`, or by name; the training mean
                unless given.
            members: Members M of the ensemble.
            sampler: `diffusion`, `consistency`, `crps`, or `none` for the operator alone; `auto` is `none` for one
                member and otherwise the cheapest sampler that the run has. A residual trained with objective
                `regression` has no members that differ and takes `members=1` alone.
            nfe: Sampling steps per forecast step; the run's setting for `diffusion` and 1 for `consistency` unless
                given.
            space: `field` decodes and encodes between steps, `latent` does not; the run's setting unless given.
            dt: Physical time step, one of `system.steps`, which were trained; the data's unless given.
            seed: Fixes the members; the same seed and batch give the same members.
            batch: States and members rolled out at once.
            domain: Where u0 lives; the training grid unless given. Others need its spacing, or on periodic axes that
                over a whole number: `system.domain.refined(2)` has twice the points.

        Returns:
            A `Forecast` with values (B, M, steps, C, *S).

        Raises:
            UserError: The shape, a value or a name does not fit, or the run has no operator.
        """
        self.require_operator()
        steps, members, batch = map(whole_number, (steps, members, batch), ("steps", "members", "batch"))
        nfe = None if nfe is None else whole_number(nfe, "nfe", high=MOST_EVALUATIONS)
        fields = self.states(u0, domain)
        self.require_room(len(fields), members, steps, domain)
        space, head = space or self.space, self._head(sampler, members)
        if space not in ("field", "latent"):
            raise UserError(f"space must be `field` or `latent`, found {space!r}")
        step = self.system.time_step(dt)
        seed, given = whole_number(seed, "seed", 0, LARGEST_SEED), self.conditions(params, len(fields))
        generator = torch.Generator(self.device).manual_seed(seed)
        fields, conditions = (x.repeat_interleave(members, 0) for x in (fields, given))
        parts = []
        for u, c in zip(fields.split(batch), conditions.split(batch), strict=True):
            dt_each = torch.full((len(u),), step, device=self.device)

            def advance(state: LatentState, dt: Tensor = dt_each) -> LatentState:
                ahead = self.model.step(state, dt, domain)
                given = ResidualCondition(state, ahead.z, dt, domain)
                return replace(ahead, z=head.step(given, nfe, generator)) if head else ahead

            parts.append(roll_out(self.model.codec, advance, u, {"params": c}, steps, space, domain).cpu())
        values = torch.cat(parts).unflatten(0, (-1, members))
        times = step * torch.arange(1, steps + 1, dtype=torch.double)
        evaluations = 1 + (head.evaluations(nfe) if head else 0)
        origin = self.origin(params, sampler=self._name(head), nfe=nfe or 0, space=space, seed=seed, dt=step)
        return Forecast(values, times, self._system(domain), given.cpu(), evaluations, origin)

    def require_operator(self) -> None:
        """Raises UserError where there is nothing to roll out."""
        if not self.has_operator:
            command = again_command(Path(self.run), "operator", fresh=False)
            raise UserError(
                "this run has a steady prior and no operator: it can jump to steady states (`ups steady`) but not roll "
                f"out; train the operator with `{command}`"
            )

    def origin(self, params: Params | None, **how: Any) -> Origin:
        """What a forecast with these `params` says of itself; `how` are further fields of `Origin`."""
        given = "training mean" if params is None and self.system.param_names else "given"
        return Origin(run=self.run, data_hash=self.data_hash, params_from=given, **how)

    def _name(self, head: ResidualHead | None) -> str:
        """The sampler that a head is."""
        return next((name for name, own in self.heads.items() if own is head), "none")

    def _system(self, domain: Domain | None) -> System:
        return self.system if domain is None else self.system.on(domain)

    def require_room(self, states: int, members: int, steps: int, domain: Domain | None = None) -> None:
        """Raises UserError where a forecast of this size does not fit into memory."""
        shape = (states, members, steps, len(self.system.channels), *self._system(domain).shape)
        what = f"a forecast of {states} states, {members} members and {steps} steps"
        require_room(shape, what, "ask for fewer, or go in pieces, each from the last frame of the one before")

    def _head(self, sampler: str, members: int) -> ResidualHead | None:
        """The head called `sampler`, None for the operator alone; raises UserError where members would not differ."""
        if sampler == "auto" and members > 1:
            return self._cheapest(members)
        if sampler in ("auto", "none"):
            if members > 1:
                raise UserError(
                    f"{members} members of a forecast without a sampler would all be the same; use members=1"
                )
            return None
        if sampler not in samplers():
            raise UserError(f"sampler must be auto, none, {', '.join(samplers())}, found {sampler!r}")
        if sampler not in self.heads:
            found = ", ".join(self.heads) or "none"
            raise UserError(f"this run has no sampler {sampler!r}: it has {found}; train {_training(sampler)}")
        head = self.heads[sampler]
        if members > 1 and head.objective == "regression":
            raise UserError(
                f"{members} members of sampler {sampler!r} would all be the same, because it learnt the mean of the "
                "residual alone (diffusion.objective: regression); use members=1"
            )
        return head

    def _cheapest(self, members: int) -> ResidualHead:
        """The cheapest sampler whose members differ; raises UserError if the run has none."""
        random = [head for name in samplers() if (head := self.heads.get(name)) and head.objective != "regression"]
        if not random:
            found = "diffusion with objective regression, whose members would all be the same" if self.heads else "none"
            raise UserError(
                f"{members} members need a sampler, but this run has {found}: train {_training('diffusion')} with "
                f"diffusion.objective flow, or {_training('crps')}"
            )
        return random[0]

    @torch.no_grad()
    def steady(self, u0: Any, *, params: Params | None = None, batch: int = 64) -> Tensor:
        """The steady state that u0 (B, C, *S) goes to, (B, C, *S) physical, in `stages.steady_prior.num_steps`
        evaluations.

        Args:
            u0: As in `rollout`.
            params: As in `rollout`.
            batch: States at once.
        """
        if self.steady_prior is None:
            raise UserError("this run has no steady prior; train it with stages.steady_prior.epochs > 0")
        fields, parts = self.states(u0), []
        for u, c in zip(fields.split(batch), self.conditions(params, len(fields)).split(batch), strict=True):
            refined = self.steady_prior(LatentState(self.model.codec.encode(u), cond={"params": c}))
            parts.append(self.model.codec.decode_like(refined.z, u).cpu())
        return torch.cat(parts)

    def states(self, u0: Any, domain: Domain | None = None) -> Tensor:
        """Initial states in any of the shapes that `rollout` understands as (B, C, *S); raises UserError."""
        return initial_states(u0, self._system(domain)).to(self.device)

    def conditions(self, params: Params | None, count: int) -> Tensor:
        """PDE parameters of `count` states as `rollout` takes them as (B, P); raises UserError."""
        return conditions(params, self.system, self.param_mean, count)

    @property
    def param_mean(self) -> Tensor:
        """PDE parameters (P,) that stand for those that are not given: their mean over the training data."""
        of = self.model.operator if self.has_operator or self.steady_prior is None else self.steady_prior
        return of.conditioning.param_mean


def _training(sampler: str) -> str:
    """The section of the config of the stage that trains a sampler."""
    return f"stages.{samplers()[sampler].name}"
