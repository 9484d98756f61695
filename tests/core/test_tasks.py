"""The table of tasks is consistent and spells PDEBench's file names."""

import pytest

from ups.core.errors import UserError
from ups.core.tasks import TASKS, find_task, published_name
from ups.simulate.pdes import PDES


def test_names_are_those_that_pdebench_publishes() -> None:
    assert published_name("burgers1d") == "1D_Burgers_Sols_Nu0.01.hdf5"
    assert published_name("burgers1d", {"Nu": 0.001}) == "1D_Burgers_Sols_Nu0.001.hdf5"
    assert published_name("burgers1d", {"Nu": 1}) == "1D_Burgers_Sols_Nu1.0.hdf5"
    assert published_name("advection1d", {"beta": 0.4}) == "1D_Advection_Sols_beta0.4.hdf5"
    assert published_name("fisher_kpp1d", {"Nu": 0.5, "Rho": 1}) == "ReacDiff_Nu0.5_Rho1.0.hdf5"


def test_ranges_and_parameters_without_a_field_are_spelled_out() -> None:
    assert published_name("burgers1d", {"Nu": (0.01, 0.1)}) == "1D_Burgers_Sols_Nu0.01-0.1.hdf5"
    assert published_name("diffusion1d") == "1D_Diffusion_Sols_Nu0.01.hdf5"
    assert published_name("diffusion1d", {"k": 3}) == "1D_Diffusion_Sols_Nu0.01_k3.0.hdf5"


def test_every_task_is_solved_by_an_equation_and_has_its_own_file() -> None:
    assert all(task.pde in PDES for task in TASKS.values())
    assert len({published_name(name) for name in TASKS}) == len(TASKS)


def test_unknown_names_get_the_nearest_known_one() -> None:
    with pytest.raises(UserError, match="did you mean 'ks1d'"):
        find_task("ks2d")
    with pytest.raises(UserError, match="did you mean 'beta'"):
        published_name("advection1d", {"betta": 0.1})
