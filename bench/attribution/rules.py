"""Rule models alone and together, beside the floor; and a second run in which nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from bench.attribution import ours
from bench.attribution.place import Place

Line = dict[str, Any]
ONE = "linear"


def rules(place: Place, tenant_id: UUID, reps: int) -> Iterator[Line]:
    """Measure each rule's first run, its floor and its re-run; then all of them in one pass."""
    versions = place.make_versions(tenant_id)
    for repetition in range(reps):
        # The model that goals name is measured in every repetition, the others in the first.
        for model in versions if repetition == 0 else [ONE]:
            place.forget_allocations()
            first = ours.run(place, tenant_id, [versions[model]])
            again = ours.run(place, tenant_id, [versions[model]])
            if again["changed"] or again["checksums"] != first["checksums"]:
                raise SystemExit(f"{model}: a re-run is not the same")
            floor_s = ours.floor(place)
            yield {
                "part": "rules",
                "model": model,
                "seconds": first["seconds"],
                "rows": first["rows"],
                "conversions": first["conversions"],
                "floor_s": floor_s,
                "times_floor": first["seconds"] / floor_s,
                "again_s": again["seconds"],
                "again_ratio": again["seconds"] / first["seconds"],
            }
    place.forget_allocations()
    together = ours.run(place, tenant_id, list(versions.values()))
    floor_s = ours.floor(place)
    yield {
        "part": "together",
        "models": len(versions),
        "seconds": together["seconds"],
        "rows": together["rows"],
        "floor_s": floor_s,
        "times_floor": together["seconds"] / floor_s,
    }
    place.forget_allocations()
