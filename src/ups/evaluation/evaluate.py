"""The evaluation of a run: roll every forecaster out, store, score, compare."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ups.core.device import device_name
from ups.core.errors import UserError
from ups.core.system import System
from ups.evaluation.baselines import PERSISTENCE, Persistence
from ups.evaluation.forecaster import Forecaster
from ups.evaluation.job import HeldOut, Job, ScoringProgress
from ups.evaluation.ledger import ledger_entries
from ups.evaluation.predictions import PredictionWriter
from ups.evaluation.row import Role, RolloutScores, Row
from ups.evaluation.rows import ForecastErrors, plain, rollout_scores, score_row, spectra
from ups.evaluation.scores import Scores, ScoringProtocol, Spectra, write_scores
from ups.evaluation.settings import EvaluationSettings
from ups.metrics import FieldErrors, TrueMoments, compare, true_moments

CPU = torch.device("cpu")
Truths = dict[int, TrueMoments]
"""Moments of the true ensemble of every batch, by its first trajectory."""


def evaluate(
    forecasters: Mapping[str, Forecaster],
    split: HeldOut,
    system: System,
    settings: EvaluationSettings,
    folder: Path,
    protocol: Mapping[str, Any] | None = None,
    *,
    std: Sequence[float],
    seed: int = 0,
    device: torch.device = CPU,
    further: Sequence[Row] = (),
    progress: ScoringProgress | None = None,
) -> Scores:
    """Score forecasters on `split` in their order, after persistence, and return what `metrics.json` holds.

    Ensembles that come after the true one in `forecasters` are compared with it.
    Writes `predictions.h5` and `metrics.json` into `folder`. A forecast that is not finite does not stop the others:
    its row has a sentence under `error`, repeated under `errors` of the whole, and None for the scores that it lacks.
    Scores over all channels are in units of `std (C,)`, the training deviation of each channel. The protocol holds it,
    and the `device` that the forecasters run on, which is what their times are of. Rows that were scored elsewhere
    (`further`) are added after the others.
    Raises UserError if the trajectories are too short for the context.
    """
    _check_length(split, settings)
    job = Job(split, system, tuple(std), settings, seed)
    protocol = _protocol(job, {"device": device_name(device), **(protocol or {})})
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    spectrum: dict[str, Any] = {}
    truths: Truths = {}
    with PredictionWriter(folder / "predictions.h5", job.stored, protocol) as store:
        store.axes(system.coords, split.times)
        for first, stop in job.batches():
            store.truth(first, split.trajectories(first, stop).numpy(), split.params[first:stop].numpy())
        for name, forecaster in {PERSISTENCE: Persistence(), **forecasters}.items():
            row, powers = evaluate_row(name, forecaster, job, store, truths, progress)
            rows.append(row)
            spectrum |= powers
    rows += further
    entries = ledger_entries(rows, settings.bootstrap, seed)
    scores = Scores(
        protocol=ScoringProtocol.model_validate(protocol),
        errors=[row.error for row in rows if row.error],
        rows=rows,
        ledger=entries,
        spectra=Spectra.model_validate(spectrum),
        pictures=[],
    )
    write_scores(folder / "metrics.json", scores)
    return scores


def evaluate_row(
    name: str,
    forecaster: Forecaster,
    job: Job,
    store: PredictionWriter,
    truths: Truths,
    progress: ScoringProgress | None = None,
) -> tuple[Row, dict[str, Any]]:
    """The row of one forecaster and its spectra, with its forecasts written to `store`.

    An ensemble is compared with `truths`, which the row of the true ensemble fills.
    """
    settings, start = job.settings, job.settings.context - 1
    if progress is not None:
        progress(name, 0, job.trajectories)
    _warm_up(forecaster, job)
    rollouts, one_steps, further = [], [], {c: [] for c in settings.also_context}
    seconds, steps, calls = 0.0, 0, 0.0
    for first, stop in job.batches():
        truth, params, seed = job.split.trajectories(first, stop), job.split.params[first:stop], job.seed + first
        began = _now()
        members = forecast(forecaster, truth, start, params, settings.members, seed)
        spent, own = _now() - began, forecaster.seconds
        seconds += spent if own is None else own * members.shape[0] * members.shape[2]
        steps += members.shape[0] * members.shape[1] * members.shape[2]
        calls += forecaster.evaluations * (stop - first)
        rollouts.append(ForecastErrors.of(truth[:, start + 1 :], members, job.std, seed, truths.get(first)))
        if (moments := moments_of(forecaster.role, members, job.std)) is not None:
            truths[first] = moments
        store.forecast(name, "rollout", first, members.numpy())
        for context, errors in further.items():
            again = forecast(forecaster, truth, context - 1, params, settings.members, seed)
            errors.append(compare(truth[:, context:], again.mean(dim=1), job.std))
        members = one_step(forecaster, truth, params, settings, seed)
        one_steps.append(compare(truth[:, 1:], members.mean(dim=1), job.std))
        store.forecast(name, "one_step", first, members.numpy())
        if progress is not None:
            progress(name, stop, job.trajectories)
    rollout = ForecastErrors.join(rollouts)
    threshold = settings.correlation_threshold
    leads = job.leads(settings.context)
    scores = score_row(name, rollout, FieldErrors.join(one_steps), leads, settings.lead_times, job.sigma, threshold)
    contexts = {
        context: RolloutScores.model_validate(
            plain(rollout_scores(FieldErrors.join(parts), job.leads(context), threshold))
        )
        for context, parts in further.items()
    }
    row = Row(
        **dict(scores),
        role=forecaster.role,
        built_on=forecaster.built_on,
        nfe_per_step=calls / job.trajectories,
        ms_per_step=1e3 * seconds / steps,
        train_seconds=forecaster.train_seconds,
        parameters=forecaster.parameters,
        contexts=contexts,
    )
    return row, spectra_of(name, rollout, settings)


def forecast(forecaster: Forecaster, truth: Tensor, start: int, params: Tensor, members: int, seed: int) -> Tensor:
    """Free rollout from frame `start` to the end, `(b, M, T - start - 1, C, *S)` on the CPU.

    Raises ValueError if the forecaster returns another shape.
    """
    steps = truth.shape[1] - start - 1
    with torch.inference_mode():
        result = forecaster.rollout(truth, start, steps, params, members, seed).float().cpu()
    expected = (truth.shape[0], result.shape[1], steps, *truth.shape[2:])
    if tuple(result.shape) != expected:
        raise ValueError(f"expected a rollout of shape (b, M, steps, C, *S) = {expected}, got {tuple(result.shape)}")
    return result


def one_step(forecaster: Forecaster, truth: Tensor, params: Tensor, settings: EvaluationSettings, seed: int) -> Tensor:
    """Every frame from the true frame before it: `(b, T, C, *S) -> (b, M, T - 1, C, *S)`."""
    b, frames = truth.shape[:2]
    pairs = torch.stack([truth[:, :-1], truth[:, 1:]], dim=2).flatten(0, 1)
    params = params.repeat_interleave(frames - 1, dim=0)
    members = settings.one_step_members or settings.members
    parts = [
        forecast(forecaster, pairs[i : i + settings.batch], 0, params[i : i + settings.batch], members, seed + i)
        for i in range(0, len(pairs), settings.batch)
    ]
    return torch.cat(parts)[:, :, 0].unflatten(0, (b, frames - 1)).movedim(1, 2)


def moments_of(role: Role, members: Tensor, std: Sequence[float]) -> TrueMoments | None:
    """What the ensembles after a row are compared with: its moments if it is the true ensemble, else None."""
    return true_moments(members, std) if role == "truth" and members.shape[1] > 1 else None


def _check_length(split: HeldOut, settings: EvaluationSettings) -> None:
    longest = max(settings.context, *settings.also_context, 1)
    if split.frames <= longest:
        raise UserError(
            f"an evaluation with {longest} context frames needs trajectories of at least {longest + 1} frames, "
            f"found {split.frames}: lower evaluation.context or evaluation.also_context"
        )


def _protocol(job: Job, protocol: Mapping[str, Any]) -> dict[str, Any]:
    settings = job.settings
    return plain(dict(protocol)) | {
        "context": settings.context,
        "members": settings.members,
        "one_step_members": settings.one_step_members or settings.members,
        "trajectories": job.trajectories,
        "frames": job.split.frames,
        "dt": job.system.dt,
        "channels": list(job.system.channels),
        "std": list(job.std),
        "shape": list(job.system.shape),
        "axes": list(job.system.axes),
        "lead_times": list(settings.lead_times),
        "correlation_threshold": settings.correlation_threshold,
        "bootstrap": settings.bootstrap,
        "seed": job.seed,
        "batch": settings.batch,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "times": [float(t) for t in job.split.times],
    }


def spectra_of(name: str, rollout: ForecastErrors, settings: EvaluationSettings) -> dict[str, Any]:
    """Power spectra `(lead time, C, K)` of truth and of one member, mean over trajectories."""
    steps = [step for step in settings.lead_times if step <= rollout.ensemble.crps.shape[1]]
    truth, members = spectra(rollout.ensemble, steps)
    return plain({"lead_times": steps, "truth": truth, name: members})


def _warm_up(forecaster: Forecaster, job: Job) -> None:
    """One step of the first batch and the whole way of its first trajectory, so that compilation and first allocations
    are not timed: some programs are compiled for a batch, others for a number of steps."""
    first, stop = job.batches()[0]
    start, settings = job.settings.context - 1, job.settings
    truth, params = job.split.trajectories(first, stop), job.split.params[first:stop]
    forecast(forecaster, truth[:, : start + 2], start, params, settings.members, job.seed)
    forecast(forecaster, truth[:1], start, params[:1], 1, job.seed)


def _now() -> float:
    """Wall-clock seconds; waits for a GPU first."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
