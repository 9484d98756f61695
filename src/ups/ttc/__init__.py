"""Test-time conditioning: several candidates per step, of which physics chooses.

`equations` knows PDEs and `integrator` advances them cheaply, `rewards` scores pairs of frames, `search` chooses among
candidates of any step function, and `candidates` makes such a step function of a trained surrogate.
"""
