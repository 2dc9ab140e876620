"""Pictures of a running demo for the documentation.

make demo                                        # in another terminal
python -m tests.browser.screenshots --password … # writes docs/images/*.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.chromium import find_chromium, start_chromium

WIDTH, HEIGHT = 1440, 900


def main() -> int:
    """Log in, go from page to page as a reader would, and save a picture of each."""
    parser = argparse.ArgumentParser(description="Take pictures of a running demo.")
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", required=True)
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--dark", action="store_true", help="in dark colours, as *-dark.png")
    options = parser.parse_args()
    path = find_chromium()
    if path is None:
        print("No chromium is installed.", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    with start_chromium(path) as browser:
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme="dark" if options.dark else "light",
        )
        page = context.new_page()
        page.goto(f"{options.address}/admin/")
        page.fill("[name=username]", options.user)
        page.fill("[name=password]", options.password)
        page.press("[name=password]", "Enter")
        page.wait_for_selector("text=Latest failures")
        suffix = "-dark" if options.dark else ""
        for name in ("overview", *_STEPS):
            if name in _STEPS:
                _STEPS[name](page, f"{options.address}/admin/")
            page.wait_for_timeout(900)  # fonts, and what the page loads by itself
            target = options.output / f"{name}{suffix}.png"
            page.screenshot(path=target)
            print(target)
    return 0


def _plan(page: Page, admin: str) -> None:
    page.goto(f"{admin}backfill/plan/")
    page.click("#result_list tbody a:not([class]) >> nth=0")
    page.wait_for_selector(".tm-heat")


def _instances(page: Page, admin: str) -> None:
    page.goto(f"{admin}instances/instance/")


def _instance(page: Page, admin: str) -> None:
    page.goto(f"{admin}instances/instance/?q=daily_temps&state=SUCCESS")
    page.click("#result_list tbody tr >> nth=0 >> text=daily_temps")
    page.wait_for_selector("pre.tm-log")


def _workflow(page: Page, admin: str) -> None:
    page.goto(f"{admin}workflows/workflow/")
    page.click("#result_list >> text=seattle_temperatures")
    page.wait_for_selector(".tm-dag")


def _task(page: Page, admin: str) -> None:
    page.click(".tm-dag a:has-text('hourly_temps')")
    page.click("text=Execution curve")
    page.wait_for_selector("#curve svg")


def _preview(page: Page, admin: str) -> None:
    page.goto(f"{admin}backfill/plan/")
    page.click("#result_list tbody a:not([class]) >> nth=0")
    page.click("text=New plan like this")
    page.click(".tm-step:has-text('Preview')")
    page.wait_for_selector(".tm-curve")


_STEPS = {
    "plan": _plan,
    "instances": _instances,
    "instance": _instance,
    "workflow": _workflow,
    "task": _task,
    "preview": _preview,
}

if __name__ == "__main__":
    sys.exit(main())
