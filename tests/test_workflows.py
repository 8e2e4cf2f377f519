"""The workflows' own rules: strangers' files are data, tokens can do little, actions are pinned.

What is forbidden is forbidden here, since a workflow is where a pull request could run code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).parents[1] / ".github" / "workflows").glob("*.y*ml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
MAY_WRITE = {"submission-comment.yml": {"pull-requests"}}
"""Which workflow's jobs may write what. Everything else can read, or nothing."""


def load(path: Path) -> dict[Any, Any]:
    loaded = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def triggers(workflow: dict[Any, Any]) -> set[str]:
    on = workflow[True]  # YAML 1.1 reads the key `on` as a truth value
    return {on} if isinstance(on, str) else set(on)


def steps(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def faults(workflow: dict[Any, Any], name: str = "x.yml") -> set[str]:
    """Which of the rules a workflow breaks."""
    on = triggers(workflow)
    found = {fault for step in steps(workflow) for fault in faults_of_step(step)}
    found |= {
        fault
        for job in workflow["jobs"].values()
        for fault in faults_of_job(job, MAY_WRITE.get(name, set()))
    }
    if "pull_request_target" in on:
        found.add("pull_request_target")
    if workflow.get("permissions") != {"contents": "read"}:
        found.add("permissions")
    if "pull_request" in on and "secrets." in str(workflow):
        found.add("secrets")
    given = [step.get("with") or {} for step in steps(workflow)]
    if "workflow_run" in on and any({"ref", "repository"} & one.keys() for one in given):
        found.add("checks out another branch")
    return found


def faults_of_job(job: dict[str, Any], may_write: set[str]) -> Iterator[str]:
    granted = job.get("permissions", {})
    if not isinstance(granted, dict) or "write" in {
        level for what, level in granted.items() if what not in may_write
    }:
        yield "permissions"
    if "uses" in job or "timeout-minutes" not in job:
        yield "job"


def faults_of_step(step: dict[str, Any]) -> Iterator[str]:
    uses, given = step.get("uses", ""), step.get("with") or {}
    if uses and not PINNED.fullmatch(uses):
        yield "pinned"
    if uses.startswith("actions/checkout@") and given.get("persist-credentials") is not False:
        yield "credentials"
    if "allow-unsafe-pr-checkout" in given:
        yield "unsafe checkout"
    if "${{" in step.get("run", "") + str(given.get("script", "")):
        yield "run"


def test_there_are_workflows() -> None:
    assert {path.name for path in WORKFLOWS} >= {
        "test.yml",
        "submission.yml",
        "submission-comment.yml",
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_workflow_keeps_the_rules(path: Path) -> None:
    assert faults(load(path), path.name) == set()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_pin_says_which_release_it_is(path: Path) -> None:
    for line in path.read_text("utf-8").splitlines():
        if "uses:" in line:
            assert re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_what_checks_comes_from_the_base() -> None:
    workflow = load(next(path for path in WORKFLOWS if path.name == "submission.yml"))
    first, second, *_ = [step for step in steps(workflow) if "checkout" in step.get("uses", "")]
    assert first["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert first["with"]["path"] == "base"
    assert second["with"]["path"] == "proposed"
    runs = [step["run"] for step in steps(workflow) if "run" in step]
    (install,) = [run for run in runs if "install" in run]
    assert "./base" in install
    assert "proposed" not in install
    assert not any(re.search(r"\bcd proposed|proposed/[^s]|python proposed", run) for run in runs)


GOOD = """
on: pull_request
permissions: {contents: read}
jobs:
  a:
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683
        with: {persist-credentials: false}
      - run: make test
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("on: pull_request", "on: [pull_request_target]", "pull_request_target"),
        ("permissions: {contents: read}", "permissions: write-all", "permissions"),
        (
            "    timeout-minutes",
            "    permissions: {contents: write}\n    timeout-minutes",
            "permissions",
        ),
        ("@11bd71901bbe5b1630ceea73d27597364c9af683", "@v4", "pinned"),
        ("persist-credentials: false", "fetch-depth: 0", "credentials"),
        ("make test", "echo ${{ github.event.pull_request.title }}", "run"),
        ("make test", "echo ${{ github.head_ref }}", "run"),
        ("make test", "make\n        env: {K: '${{ secrets.KEY }}'}", "secrets"),
    ],
)
def test_the_rules_find_what_breaks_them(old: str, new: str, fault: str) -> None:
    assert faults(yaml.safe_load(GOOD)) == set()
    assert old in GOOD
    assert faults(yaml.safe_load(GOOD.replace(old, new))) == {fault}
