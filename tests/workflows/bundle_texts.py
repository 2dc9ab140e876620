"""Workflow files for tests."""

from __future__ import annotations

SEATTLE = """\
tidemill: 1
workflow: seattle_temperatures
folder: weather/seattle
description: Hourly temperatures.
time_zone: America/Los_Angeles
owners: [ada]
tasks:
  - name: start
    type: virtual
    schedule: {cycle: day, at: "00:00"}
  - name: hourly_temps
    type: sql
    schedule: {cycle: hour, every: 1}
    depends_on: [start, {task: hourly_temps_2, offset: previous}]
    parameters: {day: "${yyyy-mm-dd}"}
    retries: {limit: 2, interval: 5}
    code: |
      SELECT avg(temp)
        FROM temps
       WHERE day = '${day}'
  - name: hourly_temps_2
    type: shell
    schedule: {cycle: hour, every: 1}
    code: "true"
"""
