"""The config: strict YAML and `a.b=value` overrides, all problems at once with their lines."""

from ups.config.compose import Config, dump_config, load_config, reference
from ups.config.load import changed_keys
from ups.config.sections import RolloutSettings, RunSettings, TrackingSettings, WandbSettings
from ups.ttc.settings import TTCSettings

__all__ = [
    "Config",
    "RolloutSettings",
    "RunSettings",
    "TTCSettings",
    "TrackingSettings",
    "WandbSettings",
    "changed_keys",
    "dump_config",
    "load_config",
    "reference",
]
