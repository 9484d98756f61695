"""Trains and scores one of APEBench's networks by its own code; runs in its environment.

python bench/apebench_network.py SCENARIO NETWORK SEED

The last line is a JSON object: mean nRMSE of steps 1, 2, ... on its test trajectories, weights, updates and seconds.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent))  # last, so that no module here stands for one of the packages
from apebench_data import scenario_of


def main(name: str, network: str, seed: int) -> None:
    """Prints what came of it."""
    scenario = scenario_of(name)
    began = time.process_time()
    found, _ = scenario(network_config=network, start_seed=seed)
    seconds = time.process_time() - began
    columns = sorted(column for column in found.columns if column.startswith("mean_nRMSE_"))
    curve = [float(value) for value in np.asarray(found[columns].iloc[0])]
    weights = int(scenario.get_parameter_count(network))
    outcome = {"curve": curve, "weights": weights, "updates": int(scenario.num_training_steps), "seconds": seconds}
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
