"""Trajectories of known equations: PDEs, initial states, forcing, spectral solvers and the files they go to."""
