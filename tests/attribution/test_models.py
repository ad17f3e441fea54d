"""Each model's worked example, and its parameters: refused with the field named."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import pytest

from skeldir_huey.attribution.models import MODELS, make_spec
from skeldir_huey.errors import InputError

CHANNELS = frozenset({"direct", "email", "organic"})


@pytest.mark.parametrize("name", MODELS)
def test_worked_example(name: str) -> None:
    module = importlib.import_module(f"skeldir_huey.attribution.models.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
    for word in ("Formula:", "Source:", "Worked example:"):
        assert word in (module.__doc__ or "")


def test_defaults_are_filled_in_and_hashed() -> None:
    spec = make_spec("linear", "1.0.0", {}, CHANNELS)
    assert spec.params == {
        "lookback_s": 2_592_000, "dedupe": "none", "repeat": "window", "fallback": "own",
    }  # fmt: skip
    assert spec.params_hash == make_spec("other", "2", {"dedupe": "none"}, CHANNELS, "linear").params_hash
    assert spec.params_hash != make_spec("linear", "1.0.0", {"lookback_s": 60}, CHANNELS).params_hash
    in_order = make_spec("even_split", "1.0.0", {"channels": ["email", "direct"]}, CHANNELS)
    assert in_order.params == {"channels": ["direct", "email"]}
    assert make_spec("linear", "1", {"lookback_s": 90 * 86_400}, CHANNELS).model_version == "linear@1"


@pytest.mark.parametrize(
    ("name", "version", "params", "field"),
    [
        ("magic", "1.0.0", {}, "model_type"),
        ("Linear", "1.0.0", {}, "name"),
        ("", "1.0.0", {}, "name"),
        ("linear", "", {}, "version"),
        ("linear", "1 0", {}, "version"),
        ("even_split", "1.0.0", {}, "params.channels"),
        ("even_split", "1.0.0", {"channels": []}, "params.channels"),
        ("even_split", "1.0.0", {"channels": "direct"}, "params.channels"),
        ("even_split", "1.0.0", {"channels": ["smoke"]}, "params.channels"),
        ("even_split", "1.0.0", {"channels": [["direct"]]}, "params.channels"),
        ("even_split", "1.0.0", {"channels": ["email", "email"]}, "params.channels"),
        ("even_split", "1.0.0", {"channels": ["email"], "lookback_s": 60}, "params.lookback_s"),
        ("linear", "1.0.0", {"lookback_s": 0}, "params.lookback_s"),
        ("linear", "1.0.0", {"lookback_s": 59}, "params.lookback_s"),
        ("linear", "1.0.0", {"lookback_s": 90 * 86_400 + 1}, "params.lookback_s"),
        ("linear", "1.0.0", {"lookback_s": 3600.5}, "params.lookback_s"),
        ("linear", "1.0.0", {"lookback_s": True}, "params.lookback_s"),
        ("linear", "1.0.0", {"dedupe": "all"}, "params.dedupe"),
        ("linear", "1.0.0", {"repeat": None}, "params.repeat"),
        ("linear", "1.0.0", {"half_life_s": 60}, "params.half_life_s"),
        ("linear", "1.0.0", {"fallback": "email"}, "params.fallback"),
        ("shapley_set", "1.0.0", {"order": 1}, "params.order"),
        ("time_decay", "1.0.0", {"half_life_s": 0}, "params.half_life_s"),
        ("time_decay", "1.0.0", {"half_life_s": -1}, "params.half_life_s"),
        ("time_decay", "1.0.0", {"half_life_s": 1.5}, "params.half_life_s"),
        ("position_based", "1.0.0", {"preset": "w"}, "params.preset"),
        ("position_based", "1.0.0", {"preset": ["u"]}, "params.preset"),
        ("position_based", "1.0.0", {"preset": "u", "first": 1}, "params.preset"),
        ("position_based", "1.0.0", {"first": 1, "middle": 1}, "params.last"),
        ("position_based", "1.0.0", {"first": 1, "middle": -1, "last": 1}, "params.middle"),
        ("position_based", "1.0.0", {"first": 0, "middle": 0, "last": 0}, "params.first"),
        ("markov_path", "1.0.0", {"order": 1}, "params.shares"),
        ("markov_path", "1.0.0", {"order": 4, "shares": {"direct": "1"}}, "params.order"),
        ("markov_path", "1.0.0", {"order": 0, "shares": {"direct": "1"}}, "params.order"),
        ("markov_path", "1.0.0", {"order": 1, "shares": {}}, "params.shares"),
        ("markov_path", "1.0.0", {"order": 1, "shares": {"smoke": "1"}}, "params.shares"),
        ("markov_path", "1.0.0", {"order": 1, "shares": {"direct": 1.0}}, "params.shares"),
        ("markov_path", "1.0.0", {"order": 1, "shares": {"direct": "0.9"}}, "params.shares"),
        ("markov_path", "1.0.0", {"order": 1, "shares": {"direct": "1"}, "first_day": 3}, "params.first_day"),
    ],
)
def test_bad_version_names_its_field(name: str, version: str, params: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as refused:
        make_spec(name, version, params, CHANNELS)
    assert refused.value.field == field
