"""A plain-language check of a training log: what the gradient norms and the curves of every stage say.

Norms are of the gradient before clipping, mean over an epoch. Under 0.01 gradients vanish, 0.01 to 1 is the usual
range, above 1 a step wants clipping or a smaller learning rate, above 10 gradients explode.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeGuard

Entry = Mapping[str, Any]
"""A line of the training log: one epoch of one stage."""
Level = Literal["good", "look", "bad"]

VANISHING, HEALTHY, EXPLODING = 0.01, 1.0, 10.0
"""Ends of the ranges of the gradient norm."""
SPIKE = 10.0
"""A norm so many times the median of its stage is a spike."""


@dataclass(frozen=True)
class Finding:
    """One sentence about one stage."""

    stage: str
    level: Level
    """`bad` spoils a training, `look` deserves a look."""
    remark: str

    @property
    def sentence(self) -> str:
        """The remark with the name of its stage."""
        return f"{self.stage}: {self.remark}."


def health(entries: Sequence[Entry], grad_clip: float | None = None) -> list[str]:
    """What a training log says about the health of the training, a sentence each; `grad_clip` if norms are clipped."""
    return [finding.sentence for finding in findings(entries, grad_clip)]


def findings(entries: Sequence[Entry], grad_clip: float | None = None) -> list[Finding]:
    """The sentences of `health` with their stages and levels, in the order of the stages."""
    return [
        Finding(stage, level, remark)
        for stage, epochs in by_stage(entries).items()
        for level, remark in (*_broken(epochs), *_norms(epochs, grad_clip), *_progress(epochs))
    ]


def by_stage(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Epochs of every stage, in the order in which the stages were trained."""
    stages: dict[str, list[Entry]] = {}
    for entry in entries:
        if "stage" in entry and "loss" in entry:
            stages.setdefault(str(entry["stage"]), []).append(entry)
    return stages


def series(epochs: Sequence[Entry], key: str) -> list[tuple[int, float]]:
    """`(epoch, value)` of the epochs that have a finite number under `key`."""
    pairs = [(int(entry.get("epoch", i + 1)), entry.get(key)) for i, entry in enumerate(epochs)]
    return [(epoch, float(value)) for epoch, value in pairs if is_number(value)]


Remark = tuple[Level, str]


def _broken(epochs: Sequence[Entry]) -> list[Remark]:
    """Losses and norms that are not finite; the log writes them as null."""
    return [
        ("bad", f"the {what} is not a finite number in epoch {epochs[lost[0]].get('epoch', lost[0] + 1)}{more(lost)}")
        for key, what in (("loss", "loss"), ("grad_norm", "gradient norm"))
        if (lost := [i for i, entry in enumerate(epochs) if key in entry and not is_number(entry[key])])
    ]


def more(lost: Sequence[int]) -> str:
    """`" and 3 more"`, or nothing."""
    return f" and {len(lost) - 1} more" if len(lost) > 1 else ""


def _norms(epochs: Sequence[Entry], grad_clip: float | None) -> list[Remark]:
    norms = series(epochs, "grad_norm")
    if not norms:
        return []
    typical = median(value for _, value in norms)
    remarks = [_range(typical, epochs, grad_clip)]
    epoch, largest = max(norms, key=lambda pair: pair[1])
    if len(norms) > 2 and largest > SPIKE * typical:
        cure = "clipping held it" if grad_clip else "set training.grad_clip, lower the learning rate or warm it up"
        times = f"{largest / typical:.0f} times its median"
        level: Level = "bad" if largest > EXPLODING and not grad_clip else "look"
        remark = f"the gradient norm spikes to {largest:.3g} in epoch {epoch}, {times}: {cure}{_inverse_hint(epochs)}"
        remarks.append((level, remark))
    return remarks


def _range(typical: float, epochs: Sequence[Entry], grad_clip: float | None) -> Remark:
    """What the median norm of a stage means."""
    norm = f"median gradient norm {typical:.2g}"
    if typical < VANISHING:
        loss = series(epochs, "loss")
        last = f" (its last loss is {loss[-1][1]:.2g})" if loss else ""
        strength = "far below" if typical < VANISHING / 10 else "below"
        return "look", (
            f"{norm}, {strength} 0.01: gradients vanish, or the loss is on a small scale or near its minimum{last}; "
            "if the score does not fall, raise the learning rate and check data and loss"
        )
    if typical <= HEALTHY:
        return "good", f"{norm}, in the healthy range of 0.01 to 1"
    if grad_clip:
        clipped = f"{norm}, clipped at {grad_clip:g}"
        if typical <= EXPLODING:
            return "good", f"{clipped}: most steps are shortened, which keeps training stable"
        return "look", f"{clipped}: without clipping it would explode; a smaller learning rate may train better"
    if typical <= EXPLODING:
        return "look", f"{norm}, above 1: set training.grad_clip or lower the learning rate"
    cure = f"set training.grad_clip and lower the learning rate{_inverse_hint(epochs)}"
    return "bad", f"{norm}, above 10: gradients explode; {cure}"


def _inverse_hint(epochs: Sequence[Entry]) -> str:
    inverse = any(entry.get(key) for entry in epochs for key in ("L_inv_enc", "L_inv_dec"))
    return "; or raise training.inverse_loss_warmup_epochs, as inverse losses can be the cause" if inverse else ""


def _progress(epochs: Sequence[Entry]) -> list[Remark]:
    """Whether the validation score still fell at the end, stood still, or rose again."""
    scores = series(epochs, "score")
    if len(scores) < 5:
        return []
    best_epoch, best = min(scores, key=lambda pair: pair[1])
    last_epoch, last = scores[-1]
    if best <= 0:
        return []
    earlier = min(value for _, value in scores[: -max(1, len(scores) // 10)])
    if best_epoch < 0.7 * last_epoch and last > 1.2 * best:
        return [
            (
                "look",
                f"the validation score was best in epoch {best_epoch} of {last_epoch} ({best:.3g}) and rose to "
                f"{last:.3g}: the stage overfits; the best epoch is what is kept",
            )
        ]
    if best < 0.98 * earlier:
        return [("look", f"the validation score still fell in the last tenth of the epochs ({best:.3g}): train longer")]
    return [("good", f"the validation score has settled ({best:.3g} in epoch {best_epoch} of {last_epoch})")]


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of the log is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)
