"""Settings of the data: where the trajectories lie, how to read them, how to thin them out and how to split them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from ups.core.settings import Settings
from ups.data.boundary import Boundaries
from ups.simulate.generate import GenerateSettings

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


def _as_tuple(value: Any) -> Any:
    """Let a single entry stand for a list of one."""
    return (value,) if isinstance(value, str | int | float) else value


def _as_parts(value: Any) -> Any:
    """Let a path or a list of paths stand for training files."""
    return {"train": value} if isinstance(value, str | list | tuple) else value


def _as_number(value: Any) -> Any:
    """Read `1e-3`, which YAML takes for a word, as the number it is."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Lengths = Annotated[tuple[PositiveFloat, ...], BeforeValidator(_as_tuple)]
Strides = Annotated[tuple[PositiveInt, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class FilesSettings(Settings):
    """Files of the user's own; a plain list is short for `{train: [...]}`.

    Good values: list `test` files where the source has them, so that they are never split; else `train` alone.
    """

    train: Names = Field(min_length=1)
    """Paths to train on; the splits without files of their own are taken out of these."""
    validation: Names = ()
    """Paths to validate on, whole; empty: the share `data.validation` of the training files."""
    test: Names = ()
    """Paths to test on, whole; empty: the share `data.test` of the training files."""


class MappingSettings(Settings):
    """Where the numbers lie in a `.npz`, `.npy`, `.h5`, `.hdf5` or `.pt` file of the user's own.

    Good values: `{values: u, axes: "n t x", coords: [x], times: t}` for a file that holds its axes, and
    `{values: u, axes: "n t x", length: 1.0, dt: 0.01}` for one that does not.
    """

    values: Names = ("values",)
    """Key of the values, or one key for each channel; not used for `.npy`, which holds one array without a name."""
    axes: str = "n t x"
    """Axes of the stored array in their order: n trajectories, t time, c channels, x y z space; n and c may be missing.
    The spatial axes keep the order in which they stand here, also in `coords`, `length` and `data.boundary`."""
    coords: tuple[str | tuple[float, ...], ...] | None = None
    """For each spatial axis the key of its coordinates or the coordinates themselves; needed unless `length` is set."""
    length: Lengths | None = None
    """Length of each spatial axis, if `coords` is not set: a periodic axis has its n points at `i length / n`, any
    other at `i length / (n - 1)`."""
    times: str | tuple[float, ...] | None = None
    """Key of the times of the frames or the times themselves; needed unless `dt` is set."""
    dt: PositiveFloat | None = None
    """Time between two stored frames, if `times` is not set; the first frame is at 0."""
    params: dict[str, Annotated[str | float, BeforeValidator(_as_number)]] = Field(default_factory=dict)
    """PDE parameters by name: the key of one value or of one value per trajectory, or the value itself."""
    channels: Names = ()
    """Names of the channels; empty: the keys in `values`, numbered if one key holds several channels."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.coords is None) == (self.length is None):
            raise ValueError("give either coords or length, so that the grid has units")
        if (self.times is None) == (self.dt is None):
            raise ValueError("give either times or dt, so that the frames have times")
        letters = self.axes.split()
        unknown = sorted(set(letters) - set("ntcxyz"))
        if unknown or len(set(letters)) != len(letters):
            raise ValueError(f"axes are letters of 'n t c x y z', each at most once and apart, found {self.axes!r}")
        if "t" not in letters or not set(letters) & set("xyz"):
            raise ValueError(f"axes need t and at least one of x, y, z, found {self.axes!r}")
        if self.coords is not None and len(self.coords) != len(self.space):
            raise ValueError(f"coords has {len(self.coords)} entries, one for each of {' '.join(self.space)} expected")
        if self.length is not None and len(self.length) not in (1, len(self.space)):
            raise ValueError(
                f"length has {len(self.length)} entries, one or one for each of {' '.join(self.space)} expected"
            )
        return self

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of `axes`."""
        return tuple(self.axes.split())

    @property
    def space(self) -> tuple[str, ...]:
        """The spatial letters of `axes`, in their order."""
        return tuple(letter for letter in self.letters if letter in "xyz")


class SubsampleSettings(Settings):
    """Strides through the stored grid and frames, from the first entry on.

    Good values: `{space: 4, time: 5}` is PDEBench's protocol for its 1D sets of 1024 points and 201 frames.
    """

    space: PositiveInt = 1
    """Keep every `space`-th grid point of each axis; it must divide the points of a periodic axis."""
    time: PositiveInt = 1
    """Keep every `time`-th frame; the time step grows with it."""
    dt: PositiveFloat | None = None
    """Time between frames that is wanted, a whole multiple of that between the frames which `time` keeps: every so
    many-th of these is kept. `training.dt` sets it."""


class DataSettings(Settings):
    """The trajectories to train, validate and test on.

    Good values: `task: burgers1d` with `root: data/pdebench` for PDEBench's files, `files` with `mapping` for others.
    """

    task: str | None = None
    """Name of a published data set, such as `burgers1d`; its files are found under `root` by their published names."""
    root: str = "data"
    """Folder that is searched, with all its sub-folders, for the files of `task`."""
    split: Literal["train"] = "train"
    """Part of the source that is trained on; a source that comes in one part is divided by `validation` and `test`."""
    download: bool = False
    """Whether missing files are wanted from the network; as nothing is downloaded here, missing files are an error that
    names the command which generates them."""
    files: Annotated[FilesSettings | None, BeforeValidator(_as_parts)] = None
    """Paths of files instead of `task` and `root`: a list, or `{train: [...], validation: [...], test: [...]}`."""
    mapping: MappingSettings | None = None
    """Where the numbers lie in `files`; without it they are read as PDEBench's."""
    boundary: Boundaries | None = None
    """Boundary condition of each axis, one for all or one for each, or a mapping by axis, side and channel; needed
    where the task does not settle it."""
    params: dict[str, float] = Field(default_factory=dict)
    """Keep only the trajectories with these values of their PDE parameters, such as `{Nu: 0.001}`."""
    generate: GenerateSettings | None = None
    """Generate the data into `root` if they are not there yet; only that file is then used."""
    subsample: SubsampleSettings = SubsampleSettings()
    """Strides through grid and frames."""
    strides: Strides = (1,)
    """Time steps to train on, as multiples of the time between frames, 1 first: with `[1, 2, 4]` every training sample
    has one of them, and forecasts can take any. All scores, also those that choose an epoch, are of the first."""
    validation: Share = 0.1
    """Share of the trajectories that chooses the model."""
    test: Share = 0.1
    """Share of the trajectories that is only scored: the first of a single file, the last of each of several files."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Use only the first so many trajectories of each file."""
    in_memory_mb: Annotated[float, Field(ge=0.0)] = 2048.0
    """Splits up to this size (float32, after strides) are held in memory; larger ones are read window by window."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.task is None and self.files is None and self.generate is None:
            raise ValueError("give task (with root), files or generate, so that there are data")
        if self.files is not None and self.generate is not None:
            raise ValueError("give files or generate, not both")
        if self.mapping is not None and self.files is None:
            raise ValueError("mapping describes files of your own: give files too")
        if self.strides[0] != 1 or sorted(set(self.strides)) != list(self.strides):
            raise ValueError(
                f"strides start with 1 and grow, found {list(self.strides)}; data.subsample.time leaves frames out"
            )
        if self.validation + self.test >= 1.0:
            raise ValueError("validation and test together leave nothing to train on; expected a sum below 1")
        return self
