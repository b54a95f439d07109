"""With ``pytest -rP``: a table of how much handbench differs from what it agrees with.

Every comparison of a test is noted in the properties of its report, which also reach the
controlling process of pytest-xdist and the JUnit XML.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reference.comparing import COMPARED

KEY = "largest difference"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    COMPARED.clear()
    try:
        yield
    finally:
        if COMPARED:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            protocol = parameters.get("protocol", parameters.get("name", ""))
            place = f"{item.path.stem.removeprefix('test_agreement_')}: {item.originalname}"
            difference, metric = max(COMPARED)
            item.user_properties.append((KEY, [f"{place} {protocol}", difference, metric]))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if "P" not in config.getoption("reportchars"):
        return
    largest: dict[str, tuple[float, str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == KEY:
                    place, difference, metric = value
                    largest[place] = max(largest.get(place, (0.0, "")), (difference, metric))
    terminalreporter.section("largest differences (px, mm or fraction)")
    for place, (difference, metric) in largest.items():
        terminalreporter.write_line(f"{difference:8.1e}  {place.replace('test_', '')}  ({metric})")
