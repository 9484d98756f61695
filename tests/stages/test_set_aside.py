"""Which files go aside with a stage."""

from pathlib import Path

import pytest

from ups.core.stages import STAGES
from ups.stages.set_aside import set_aside_checkpoints

KINDS = ("", "_ema", "_resume", "_epoch_2", "_epoch_2_ema")
STEMS = ("autoencoder", "operator", "diffusion_residual", "crps_ensemble", "consistency_distill", "steady_prior")


def filled(folder: Path) -> Path:
    """A run folder with every file of every stage and of other models."""
    (folder / "checkpoints").mkdir()
    for stem in (*STEMS, "fno", "unet", "convnext"):
        for kind in KINDS:
            (folder / "checkpoints" / f"{stem}{kind}.pt").write_text(stem + kind)
    (folder / "checkpoints" / "operator_of_mine.pt").write_text("mine")
    return folder


def stems(folder: Path) -> set[str]:
    """Stems whose files lie in a folder; all kinds of each."""
    names = {path.name for path in folder.iterdir()} - {"operator_of_mine.pt"}
    found = {stem for stem in (*STEMS, "fno", "unet", "convnext") if f"{stem}.pt" in names}
    assert names == {f"{stem}{kind}.pt" for stem in found for kind in KINDS}
    return found


@pytest.mark.parametrize(
    ("stage", "moved"),
    [
        ("all", {*STEMS, "fno", "unet", "convnext"}),
        ("autoencoder", {*STEMS, "fno", "unet", "convnext"}),
        ("operator", {*STEMS, "fno", "unet", "convnext"} - {"autoencoder"}),
        ("diff_residual", {"diffusion_residual", "consistency_distill"}),
        ("crps_ensemble", {"crps_ensemble"}),
        ("consistency_distill", {"consistency_distill"}),
        ("steady_prior", {"steady_prior"}),
    ],
)
def test_a_stage_goes_aside_with_what_builds_on_it_and_nothing_else(
    tmp_path: Path, stage: str, moved: set[str]
) -> None:
    set_aside_checkpoints(filled(tmp_path), stage, "checkpoints.1")
    assert stems(tmp_path / "checkpoints.1") == moved
    assert stems(tmp_path / "checkpoints") == {*STEMS, "fno", "unet", "convnext"} - moved
    assert (tmp_path / "checkpoints" / "operator_of_mine.pt").exists()


@pytest.mark.parametrize("moves", [0, 1, 7, 18, 32])
def test_a_stop_between_two_files_leaves_no_stage_without_what_it_builds_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    checkpoints, rename, left = filled(tmp_path) / "checkpoints", Path.rename, [None] * moves

    def stops(path: Path, target: Path) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", stops)
        set_aside_checkpoints(tmp_path, "all", "aside")
    there = {name for name in STAGES if any(checkpoints.glob(f"{STAGES[name].stem}*.pt"))}
    assert all(set(STAGES[name].predecessors) <= there for name in there)
    resumed = {path.name.removesuffix("_resume.pt") for path in checkpoints.glob("*_resume.pt")}
    assert all((checkpoints / f"{stem}{kind}.pt").exists() for stem in resumed for kind in ("", "_ema"))
    set_aside_checkpoints(tmp_path, "all", "aside")
    assert stems(tmp_path / "aside") == {*STEMS, "fno", "unet", "convnext"}
