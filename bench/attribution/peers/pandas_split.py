"""linear in pandas, in a process of the benchmark's own virtualenv: `python pandas_split.py DSN TENANT START END`.

Reads the events into a frame, joins conversions with touches, splits by columns, and writes 2,000 rows at a time.
Prints the seconds from connecting to the commit, without the import of pandas. Imports nothing of the product.
"""

from __future__ import annotations

import json
import sys
import time

import pandas as pd
import psycopg2

TABLE = "peer_allocations"
BATCH_ROWS = 2000


def main(dsn: str, tenant: str, start: str, end: str) -> None:
    began = time.perf_counter()
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("set role app_user")
        cursor.execute("select set_config('app.current_tenant_id', %s, true)", (tenant,))
        cursor.execute(
            "select id::text, occurred_at, kind, journey_key::text, channel, revenue_cents from attribution_events"
            " where tenant_id = %s and kind in ('touch', 'conversion') and occurred_at < %s",
            (tenant, end),
        )
        events = pd.DataFrame(cursor.fetchall(), columns=["id", "at", "kind", "journey", "channel", "cents"])
        events["at"] = pd.to_datetime(events["at"], utc=True)
        made = split(events, pd.Timestamp(start))
        for first in range(0, len(made), BATCH_ROWS):
            part = made.iloc[first : first + BATCH_ROWS]
            cursor.execute(
                f"insert into {TABLE} (event_id, channel_code, cents)"
                " select * from unnest(%s::uuid[], %s::text[], %s::bigint[])",
                (part["id"].tolist(), part["channel"].tolist(), part["part"].tolist()),
            )
    print(json.dumps({"seconds": time.perf_counter() - began, "pandas": pd.__version__}))


def split(events: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """Return id, channel and part (cents) of each conversion since start."""
    sales = events[(events["kind"] == "conversion") & (events["at"] >= start)]
    touches = events[events["kind"] == "touch"][["journey", "at", "channel"]]
    both = sales.merge(touches, on="journey", how="left", suffixes=("", "_touch"))
    counts = (both["at_touch"] <= both["at"]) & (both["at_touch"] >= both["at"] - pd.Timedelta(days=30))
    seen = both[counts].groupby(["id", "cents", "channel_touch"], as_index=False).size()
    seen = seen.rename(columns={"channel_touch": "channel"})
    alone = sales[~sales["id"].isin(seen["id"])][["id", "cents", "channel"]].assign(size=1)
    found = pd.concat([seen, alone], ignore_index=True)
    found["cents"] = found["cents"].astype("int64")
    whole = found.groupby("id")["size"].transform("sum")
    found["part"] = found["cents"] * found["size"] // whole
    found["rest"] = found["cents"] * found["size"] % whole
    left = found["cents"] - found.groupby("id")["part"].transform("sum")
    found = found.sort_values(["id", "rest", "channel"], ascending=[True, False, True])
    found["part"] += (found.groupby("id").cumcount() < left.loc[found.index]).astype("int64")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
