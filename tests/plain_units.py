"""The comparisons of `ups.metrics` for fields that are in units of their deviation: sigma 1 in every channel."""

from torch import Tensor

from ups import metrics
from ups.metrics import EnsembleErrors, FieldErrors, MomentErrors, TrueMoments


def compare(truth: Tensor, prediction: Tensor) -> FieldErrors:
    return metrics.compare(truth, prediction, [1.0] * truth.shape[2])


def compare_members(truth: Tensor, members: Tensor, seed: int = 0) -> EnsembleErrors:
    return metrics.compare_members(truth, members, [1.0] * truth.shape[2], seed)


def true_moments(truths: Tensor) -> TrueMoments:
    return metrics.true_moments(truths, [1.0] * truths.shape[3])


def compare_moments(truths: TrueMoments, members: Tensor) -> MomentErrors:
    return metrics.compare_moments(truths, members, [1.0] * members.shape[3])
