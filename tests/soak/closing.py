"""Bringing everything to its end, as people do: by the API, with what the product advises."""

from __future__ import annotations

import time

import psycopg

from tests.faults.product import Product
from tests.soak.users import Api, Json

# Nothing came to its end for so long: nothing will.
STILL_SECONDS = 90.0
# What waits for slots that will not come is let go on after so long.
PATIENCE_SECONDS = 15.0
_MOST = 500


class Closing:
    """`stranded`: instances that waited for slots which nobody was going to fill."""

    def __init__(self, api: Api, database_url: str, product: Product) -> None:
        self._api, self._database_url, self._product = api, database_url, product
        self._stranded: set[int] = set()

    @property
    def stranded(self) -> int:
        return len(self._stranded)

    def run(self, tasks: dict[int, Json]) -> list[str]:
        """Stop the schedules and put right what people did; return what never came to its end."""
        for pk in tasks:
            self._api.call("pause a task", "POST", f"tasks/{pk}/pause/", {})
        for pk in self._ids(
            "SELECT p.id FROM backfill_plan p JOIN instances_batch b"
            " ON b.id = p.batch_id WHERE b.paused_at IS NOT NULL"
        ):
            self._api.call("resume a plan", "POST", f"backfills/{pk}/resume/", {})
        fewest, still_since = None, time.monotonic()
        while (left := self._left()) or self._ids(_UNSETTLED):
            if fewest is None or len(left) < fewest:
                fewest, still_since = len(left), time.monotonic()
            still = time.monotonic() - still_since
            if still > STILL_SECONDS:
                states = self._rows(
                    "SELECT state, count(*) FROM instances_instance WHERE id = ANY(%s) GROUP BY 1",
                    left,
                )
                plans = self._ids(_UNSETTLED)
                return [f"did not come to its end: {dict(states)}, plans {plans}"]
            self._operate("unfreeze", _IN.format("FROZEN"))
            self._operate("rerun", _IN.format("FAILED"))
            if still > PATIENCE_SECONDS:
                self._free_stranded()
            self._product.look_after()
            time.sleep(1)
        return []

    def _free_stranded(self) -> None:
        stranded = self._ids(
            "SELECT DISTINCT i.id FROM instances_instance i JOIN instances_edge e"
            " ON e.instance_id = i.id WHERE i.state = 'WAITING_UPSTREAM'"
            f" AND e.upstream_id IS NULL AND e.removed_at IS NULL ORDER BY 1 LIMIT {_MOST}"
        )
        self._stranded.update(stranded)
        if stranded:
            path = "instances/batch/remove-dependencies/"
            self._api.call("remove-dependencies, many", "POST", path, {"ids": stranded})

    def _operate(self, verb: str, query: str) -> None:
        if ids := self._ids(query):
            self._api.call(f"{verb}, many", "POST", f"instances/batch/{verb}/", {"ids": ids})

    def _left(self) -> list[int]:
        return self._ids(
            "SELECT id FROM instances_instance WHERE state <> 'SUCCESS'"
            " AND NOT (state = 'NOT_RUN' AND not_before > now())"
        )

    def _ids(self, query: str) -> list[int]:
        return [row[0] for row in self._rows(query)]

    def _rows(self, query: str, *arguments: object) -> list[tuple[int, ...]]:
        with psycopg.connect(self._database_url) as connection:
            return connection.execute(query, arguments or None).fetchall()  # type: ignore[arg-type]


_IN = f"SELECT id FROM instances_instance WHERE state = '{{}}' ORDER BY id LIMIT {_MOST}"
_UNSETTLED = "SELECT id FROM backfill_plan WHERE state IN ('expanding', 'running')"
