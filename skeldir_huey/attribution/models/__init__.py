"""The models: one file each, with its formula, its source and a worked example that runs as a test."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol, cast

from skeldir_huey.attribution.models import (
    even_split,
    first_touch,
    last_non_direct,
    last_touch,
    linear,
    markov_path,
    position_based,
    shapley_set,
    time_decay,
)
from skeldir_huey.attribution.models.touches import Touch
from skeldir_huey.attribution.types import ModelSpec
from skeldir_huey.errors import InputError

_NAME = re.compile(r"[a-z0-9_]+")
_VERSION = re.compile(r"[0-9A-Za-z.+_-]+")


class Model(Protocol):
    """What each file of this package offers."""

    def check(self, params: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
        """Return all parameters, checked, defaults filled in."""

    def weights(self, touches: Sequence[Touch], params: Mapping[str, Any]) -> list[Fraction]:
        """Return what each touch of a journey weighs, in the order of the touches; for explanations."""

    def credits(self, touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
        """Return each channel's credit for the touches of a journey; for explanations, the split runs in SQL."""

    def statements(self, params: Mapping[str, Any]) -> list[str]:
        """Return the SQL files that make the credits, innermost first."""

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of those files."""


MODELS: dict[str, Model] = {
    "even_split": cast(Model, even_split),
    "first_touch": cast(Model, first_touch),
    "last_touch": cast(Model, last_touch),
    "last_non_direct": cast(Model, last_non_direct),
    "linear": cast(Model, linear),
    "position_based": cast(Model, position_based),
    "time_decay": cast(Model, time_decay),
    "shapley_set": cast(Model, shapley_set),
    "markov_path": cast(Model, markov_path),
}


def model_of(model_type: str) -> Model:
    """Return a model by its type.

    Raises:
        InputError: there is none of that name.
    """
    if model_type not in MODELS:
        raise InputError("model_type", f"unknown model {model_type!r}; known are: {', '.join(sorted(MODELS))}")
    return MODELS[model_type]


def make_spec(
    name: str,
    version: str,
    params: Mapping[str, Any],
    channels: Collection[str],
    model_type: str | None = None,
) -> ModelSpec:
    """Return a checked model version.

    Args:
        name: lower case letters, digits and underscores.
        version: letters, digits and . + _ -, such as 1.0.0.
        params: as the model's `check` says; what is left out has its default.
        channels: codes of the channel taxonomy.
        model_type: the rule; None means the one called `name`.

    Raises:
        InputError: names the field that is wrong.
    """
    if not _NAME.fullmatch(name):
        raise InputError("name", f"expected lower case letters, digits and underscores, got {name!r}")
    if not _VERSION.fullmatch(version):
        raise InputError("version", f"expected a version such as 1.0.0, got {version!r}")
    model_type = model_type or name
    return ModelSpec(name, version, model_type, model_of(model_type).check(params, channels))
