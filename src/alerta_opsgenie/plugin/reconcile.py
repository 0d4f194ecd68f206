"""Reconciliation: compares both sides from time to time, in a thread of the process that sends, and repairs drift.

A lease lets one process of all hosts do it. The rules are in `core.reconcile`. Requests to the vendor go through the
outbox, and changes in Alerta through the relay, as for the webhook.
"""

import contextlib
import itertools
import json
import random
import time
from collections import Counter
from functools import partial
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from alerta.models.alert import Alert
from flask import g

from alerta_opsgenie.clients.alert_list import OPS_PATHS, AlertList, OpsApi, list_open
from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.clients.opsgenie import OpsgenieClient, RequestOutcome
from alerta_opsgenie.core import reconcile as rules
from alerta_opsgenie.core import repairs, routing
from alerta_opsgenie.core.agreed import AgreedState
from alerta_opsgenie.core.events import BLACKOUT
from alerta_opsgenie.core.last_change import ALERTA, is_same_state
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.core.reconcile import Known, Repair, Sweep
from alerta_opsgenie.core.relay import relay
from alerta_opsgenie.core.snapshot import AlertState, Snapshot, own_open_alerts, read_alerta_alert, with_lookups
from alerta_opsgenie.core.task import AttemptContext, run_relay
from alerta_opsgenie.core.wording import AlertValues
from alerta_opsgenie.plugin import LOG, arrivals, inprocess, order, state
from alerta_opsgenie.plugin.alert_values import Query, epoch_seconds, usual_status, values_of
from alerta_opsgenie.plugin.callers import Caller
from alerta_opsgenie.plugin.memory import Memory
from alerta_opsgenie.plugin.people import account_of, shown_name
from alerta_opsgenie.plugin.sender import Duty

_WithOwner = TypeVar("_WithOwner", AlertState, AgreedState)

PAGE = 50
"""Small, because requests of the process are slow while a page of alerts is parsed."""
LEASE = "reconcile"
REPORT, SUSPECTS = "reconcile-report", "reconcile-suspects"
"""Names of values in the memory: the numbers of the last sweep, and the differences that it found."""

_NOT_ENDED = "status NOT IN ('closed', 'expired') AND id > %(after)s"
_NEVER_SECONDS = 86400.0
_PAUSE_SECONDS = 0.005
_DUE = 0.8  # a sweep is due after this part of the pause, whose length is random


class Reconciler:
    """The reconciliation in one process."""

    def __init__(self, process: state.Process, memory: Memory) -> None:
        self._process, self._memory, self._settings = process, memory, process.settings
        self._wait = process.sender.wait
        self._turns = itertools.count()
        self._logged: Dict[str, str] = {}

    def seconds(self) -> float:
        """Return the pause before the next sweep."""
        wanted = self._settings.reconcile_seconds
        return wanted * random.uniform(0.9, 1.1) if wanted else _NEVER_SECONDS  # noqa: S311 - not all hosts at once

    def run(self) -> None:
        """Sweep, if no other process does. Raises JournalError."""
        wanted = self._settings.reconcile_seconds
        if wanted and self._is_due(wanted) and self._process.lease(LEASE, 3 * wanted + 60.0):
            try:
                self.sweep()
            except OSError as error:
                self._log_change("stop", f"nothing is compared: a key file cannot be read: {error.strerror}")

    def _is_due(self, wanted: float) -> bool:
        """Whether the last sweep by any process is long enough ago. A time in the future is of a wrong clock."""
        report = self._memory.get_facts(REPORT)
        last = float(report.get("at") or self._memory.get_value("since") or 0.0)
        return not 0 <= time.time() - last < _DUE * wanted

    def sweep(self) -> None:
        """Compare once, and repair."""
        vendor = self._read_vendor()
        alerta, busy = self._read_alerta()
        if not (vendor.problem or alerta.problem):
            vendor, alerta = self._look_up_at_vendor(vendor, alerta), self._look_up_in_alerta(alerta, vendor)
        known = self._known(alerta, vendor, busy)
        found = rules.reconcile(alerta, vendor, known)
        self._remember(found, known)
        self._memory.set_value(SUSPECTS, json.dumps(found.suspects))
        outcomes = [self._repair(repair) for repair in found.repairs if not self._wait(0)]
        sizes = {"alerta": len(alerta.alerts), "opsgenie": len(vendor.alerts)}
        self._report(found, outcomes, {"at": vendor.at_seconds, **sizes})

    def _known(self, alerta: Snapshot, vendor: Snapshot, busy: FrozenSet[str]) -> Known:
        memory = self._memory
        since = float(memory.get_value("since") or "inf")
        agreed = self._named(memory.read({*alerta.alerts, *vendor.alerts, *memory.open_alerts()}))
        journal = self._process.outbox.journal
        waiting = {row.alert for state_ in ("waiting", "in-flight") for row in journal.actions(state_)}
        return Known(
            agreed, rules.read_suspects(memory.get_value(SUSPECTS)), busy | waiting, since,
            self._settings.reconcile_policies, self._takes(),
            min(rules.GRACE_SECONDS, self._settings.reconcile_seconds),
        )  # fmt: skip

    def _takes(self) -> Mapping[str, FrozenSet[str]]:
        """Return the steps that the vendor accepts by each route: those of its API, without those its plan lacks."""
        lacks, steps = self._process.sender.plan.lacks, repairs.takes(self._settings.policy)
        routes = {routing.DEFAULT, *(route.name for route in self._settings.policy.routes)}
        return {
            route: frozenset(step for step in steps if not lacks(route, repairs.OPERATIONS.get(step, step)))
            for route in routes
        }

    def _remember(self, found: Sweep, known: Known) -> None:
        """Store the agreed states, except those that have changed in the memory since they were read."""
        now = self._named(self._memory.read([*found.agreed, *found.forget]))
        same = {name for name in (*found.agreed, *found.forget) if now.get(name) == known.agreed.get(name)}
        self._memory.write({name: agreed for name, agreed in found.agreed.items() if name in same})
        self._memory.forget(name for name in found.forget if name in same)

    # -- Reading

    def _read_vendor(self) -> Snapshot:
        began, found = time.time(), list(self._lists())
        problems = [f"the list by {route} is incomplete: {one.problem}" for route, one in found if one.problem]
        alerts = self._named(own_open_alerts(self._slowly(found), self._settings.policy.source))
        ahead = max((one.clock_ahead_seconds for _, one in found), key=abs, default=0.0)
        return Snapshot(alerts, began, problem="; ".join(problems), clock_ahead_seconds=ahead)

    def _slowly(self, found: Sequence[Tuple[str, AlertList]]) -> Iterator[Tuple[str, Mapping[str, Any]]]:
        """Yield the alerts of all lists, with pauses for other threads."""
        for route, one in found:
            for number, data in enumerate(one.alerts):
                if number % PAGE == 0:
                    self._wait(_PAUSE_SECONDS)
                yield route, data

    def _lists(self) -> Iterator[Tuple[str, AlertList]]:
        """Yield the list of open alerts by each key, each key once; by JSM's full API if there is a token for it."""
        settings, source = self._settings, self._settings.policy.source
        if settings.ops_login:
            api = OpsApi(settings.ops_url, settings.ops_login.reveal(), settings.timeout_seconds,
                         ca_file=settings.ca_file, environment=settings.proxies)  # fmt: skip
            with contextlib.closing(api):
                yield routing.DEFAULT, list_open(api.get, source, self._wait, OPS_PATHS)
            return
        routes = {settings.key_of(route).reveal(): route for route in (*settings.keys, routing.DEFAULT)}
        for key, route in routes.items():
            with contextlib.closing(self._settings.client()) as client:
                if key:
                    yield route, list_open(partial(self._get, client, key), source, self._wait)

    def _get(self, client: OpsgenieClient, key: str, path: str) -> Union[Response, RequestOutcome]:
        return client.get(path, key, time.monotonic() + self._settings.timeout_seconds)

    def _read_alerta(self) -> Tuple[Snapshot, FrozenSet[str]]:
        """Read the alerts that have not ended, by id, and the ids of those in a blackout."""
        began, found, last = time.time(), [], ""
        while True:
            page = self._page(_NOT_ENDED, {"after": last})
            found += page
            if len(page) < PAGE:
                break
            last = page[-1][0]
        alerts = {name: state for name, state, _ in found}
        problem = "Alerta is about to stop" if self._wait(0) else ""
        return Snapshot(alerts, began, problem=problem), frozenset(name for name, _, out in found if out)

    def _page(self, where: str, values: Dict[str, object]) -> List[Tuple[str, AlertState, bool]]:
        """Read a page: id, state, and whether it is in a blackout. Then pause twice as long, for other threads."""
        began = time.monotonic()
        with self._process.app.app_context():
            alerts = Alert.find_all(Query(where, values), history=True, page=1, page_size=PAGE)
            page = [(str(alert.id), self._side_of(alert), usual_status(alert.status) == BLACKOUT) for alert in alerts]
        self._wait(2 * (time.monotonic() - began))
        return page

    def _side_of(self, alert: Alert) -> AlertState:
        changed = epoch_seconds(alert.update_time)
        return read_alerta_alert(values_of(alert), changed, order.record_of(alert).newest, self._settings.policy)

    def _look_up_in_alerta(self, alerta: Snapshot, vendor: Snapshot) -> Snapshot:
        """Look up in Alerta the alerts that are open at the vendor only: they have ended or were deleted."""
        alerts, asked = dict(alerta.alerts), sorted(set(vendor.alerts) - set(alerta.alerts))
        for first in range(0, len(asked), PAGE):
            page = self._page("id = ANY(%(ids)s)", {"ids": asked[first : first + PAGE]})
            alerts.update({name: state for name, state, _ in page})
        gone = set(asked) - set(alerts) if self._settings.policy.on_delete != "ignore" else set()
        return alerta._replace(alerts=alerts, gone=frozenset(gone))

    def _look_up_at_vendor(self, vendor: Snapshot, alerta: Snapshot) -> Snapshot:
        """Look up at the vendor, one by one, the alerts that are open in Alerta only."""
        settings, looks = self._settings, {}
        suspects = rules.read_suspects(self._memory.get_value(SUSPECTS))
        with contextlib.closing(self._settings.client()) as client:
            for name in rules.to_look_up(alerta, vendor, suspects, next(self._turns))[: rules.MOST_LOOKS]:
                route = alerta.alerts[name].route
                key = settings.key_of(route).reveal()
                data = client.find(name, key, time.monotonic() + settings.timeout_seconds)
                if data is None or self._wait(0):
                    break  # what was not looked up is looked up in the next sweep
                looks[name] = (route, data)
        looked = with_lookups(vendor, looks, settings.policy.source)
        return looked._replace(alerts=self._named(looked.alerts))

    def _named(self, alerts: Mapping[str, _WithOwner]) -> Dict[str, _WithOwner]:
        """Replace owners by their logins in Alerta."""
        with self._process.app.app_context():
            names = {owner: shown_name(owner) for owner in {one.owner for one in alerts.values()} if owner}
        return {alias: one._replace(owner=names.get(one.owner, "")) for alias, one in alerts.items()}

    # -- Repairing

    def _repair(self, repair: Repair) -> bool:
        with self._process.app.test_request_context("/"):
            g.opsgenie_reconcile = True
            alert = Alert.find_by_id(repair.alert)
            if alert is not None and alert.id != repair.alert:
                return False
            if repair.side == ALERTA:
                return self._repair_in_alerta(repair)
            return self._repair_at_vendor(repair, alert)

    def _repair_at_vendor(self, repair: Repair, alert: Optional[Alert]) -> bool:
        """Put the requests into the outbox, unless the alert in Alerta has changed since it was read."""
        now = self._side_of(alert) if alert is not None else AlertState(is_open=False)
        if not is_same_state(now, repair.right):
            return False
        values = values_of(alert) if alert is not None else AlertValues(repair.alert, status="closed")
        values = values._replace(account=account_of(values.owner))
        dispatch = repairs.requests_of(repair, values, self._settings.policy, time.time())
        LOG.warning("opsgenie: reconcile: %s of alert %s is sent to the vendor: %s",
                    repair.field, repair.alert, repair.reason)  # fmt: skip
        return bool(self._process.outbox.put(dispatch, repair.alert))

    def _repair_in_alerta(self, repair: Repair) -> bool:
        policy, done = self._settings.policy, True
        caller = Caller(repairs.BRIDGE, is_bridge=True)
        settings = self._settings.relay._replace(
            sources=frozenset({policy.source}), custom_actions={repairs.REOPEN: "open"}
        )
        for text in repairs.messages_of(repair, policy.source, time.time()):
            outcome = run_relay(
                relay(parse(text), settings, AttemptContext(time.time())),
                lambda call: inprocess.perform(call, caller),
            )
            done = done and outcome.kind is Kind.APPLIED
            LOG.warning("opsgenie: reconcile: %s of alert %s in Alerta: %s: %s (%s) %s", repair.field, repair.alert,
                        repair.reason, outcome.kind.value, outcome.reason.value, outcome.detail)  # fmt: skip
        return done

    # -- Reporting

    def _report(self, found: Sweep, done: Sequence[bool], figures: Dict[str, Any]) -> None:
        """Log the findings if they changed, and store the numbers of this sweep."""
        self._log_change("stop", f"nothing is repaired: {found.stopped}" if found.stopped else "")
        texts = Counter(f"{finding.field}: {finding.text}" for finding in found.findings)
        self._log_change("findings", "; ".join(f"{many} x {text}" for text, many in sorted(texts.items())))
        repaired = Counter(f"{repair.field} {repair.side}" for repair, is_done in zip(found.repairs, done) if is_done)
        figures.update(stopped=found.stopped, repaired=repaired)
        self._memory.set_facts(REPORT, figures)
        for name, many in repaired.items():
            self._process.sender.count(f"drift_repaired_{'_'.join(name.split())}", many)
        for finding in found.findings:
            self._process.sender.count(f"drift_found_{finding.field}")
        arrivals.check(self._process, self._memory, figures)

    def _log_change(self, what: str, text: str) -> None:
        if text != self._logged.get(what, ""):
            self._logged[what] = text
            LOG.warning("opsgenie: reconcile: %s", text or f"no {what} any more")


def duty(process: state.Process) -> Optional[Duty]:
    """Return the duty that compares both sides; None without a memory."""
    if process.memory is None:
        return None
    reconciler = Reconciler(process, process.memory)
    return Duty("reconcile", reconciler.seconds, reconciler.run)
