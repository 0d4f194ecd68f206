"""Compares both sides from time to time, in the background of the process that sends, and repairs what differs.

One process of all hosts does it, by a lease. The rules are in `core.reconcile`. What has to be told to the vendor goes
into the outbox like everything else; what has to be done in Alerta goes through the relay, as the webhook's does.
"""

import atexit
import contextlib
import itertools
import json
import os
import random
import threading
import time
from collections import Counter
from functools import partial
from typing import Any, Dict, FrozenSet, Iterator, Optional, Sequence, Tuple, Union

from alerta.app import qb
from alerta.models.alert import Alert
from flask import request_started
from werkzeug.datastructures import MultiDict

from alerta_opsgenie.clients.alert_list import OPS_PATHS, AlertList, OpsApi, list_open
from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.clients.opsgenie import Delivery, OpsgenieClient
from alerta_opsgenie.core import reconcile as rules
from alerta_opsgenie.core import repairs, routing
from alerta_opsgenie.core.events import BLACKOUT
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.core.reconcile import Known, Repair, Sweep
from alerta_opsgenie.core.relay import Circumstances, relay
from alerta_opsgenie.core.sides import Seen, Snapshot, alerta_side, listed, with_looks
from alerta_opsgenie.core.task import drive
from alerta_opsgenie.core.wording import Subject
from alerta_opsgenie.plugin import guard, inprocess, order, state
from alerta_opsgenie.plugin.alert_values import epoch_seconds, subject_of
from alerta_opsgenie.plugin.database import Database, DatabaseError
from alerta_opsgenie.plugin.memory import Memory
from alerta_opsgenie.plugin.state import LOG

PAGE = 200
LEASE = "reconcile"
REPORT, SINCE, SUSPECTS = "reconcile-report", "reconcile-since", "reconcile-suspects"
"""Names of what is kept in the memory: the last sweep, when it began to be kept, and what the last sweep found."""

_NOT_ENDED = MultiDict([("status!", "closed"), ("status!", "expired"), ("sort-by", "createTime")])
_STOP_SECONDS = 3.0


class Reconciler:
    """The thread of one process. `start` returns at once."""

    def __init__(self, process: state.Process, memory: Memory) -> None:
        self._process, self._memory, self._settings = process, memory, process.settings
        self._holder = f"{os.uname().nodename}:{os.getpid()}:{id(self)}"
        self._stop = threading.Event()
        self._logged: Dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="opsgenie-reconcile", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the page or repair that is on its way."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        seconds = self._settings.reconcile_seconds
        wait = seconds * random.uniform(0.5, 1.0)  # noqa: S311 - so that many hosts do not ask at once
        while not self._stop.wait(wait):
            wait = seconds * random.uniform(0.9, 1.1)  # noqa: S311
            try:
                if self._memory.lease(LEASE, self._holder, 3 * seconds + 60.0):
                    self.sweep()
            except DatabaseError as error:
                self._say("database", f"nothing is compared: {error}")
            except Exception:  # noqa: BLE001 - the next sweep may well work
                LOG.exception("opsgenie: the comparison of both sides goes on after an error of its own")

    def sweep(self) -> Sweep:
        """Compare once, and repair."""
        vendor, requests = self._read_vendor()
        alerta, busy = self._read_alerta()
        if not (vendor.problem or alerta.problem):
            vendor, alerta = self._look_up_at_vendor(vendor, alerta), self._look_up_in_alerta(alerta, vendor)
        known = self._known(alerta, vendor, busy)
        found = rules.reconcile(alerta, vendor, known)
        self._memory.write(found.agreed)
        self._memory.forget(found.forget)
        self._memory.set_value(SUSPECTS, json.dumps(found.suspects))
        outcomes = [self._repair(repair) for repair in found.repairs if not self._stop.is_set()]
        strangers = len(alerta.gone - set(known.agreed))
        self._report(found, outcomes, {
            "at": vendor.at_seconds, "seconds": round(time.time() - vendor.at_seconds, 3), "requests": requests,
            "alerta": len(alerta.alerts), "opsgenie": len(vendor.alerts), "strangers": strangers,
        })  # fmt: skip
        return found

    def _known(self, alerta: Snapshot, vendor: Snapshot, busy: FrozenSet[str]) -> Known:
        memory = self._memory
        since = memory.get_value(SINCE)
        if not since:
            since = str(time.time())
            memory.set_value(SINCE, since)
        agreed = memory.read({*alerta.alerts, *vendor.alerts, *memory.open_ids()})
        waiting = {row.alert for row in self._process.outbox.journal.actions() if row.state in ("waiting", "in-flight")}
        return Known(
            agreed, rules.read_suspects(memory.get_value(SUSPECTS)), busy | waiting, float(since),
            self._settings.reconcile_policies, repairs.takes(self._settings.policy),
            min(rules.GRACE_SECONDS, self._settings.reconcile_seconds),
        )  # fmt: skip

    # -- Reading

    def _read_vendor(self) -> Tuple[Snapshot, int]:
        began, found = time.time(), list(self._lists())
        problems = [f"the list by {route} is incomplete: {one.problem}" for route, one in found if one.problem]
        alerts = listed(((route, data) for route, one in found for data in one.alerts), self._settings.policy.source)
        ahead = max((one.clock_ahead_seconds for _, one in found), key=abs, default=0.0)
        snapshot = Snapshot(alerts, began, problem="; ".join(problems), clock_ahead_seconds=ahead)
        return snapshot, sum(one.requests for _, one in found)

    def _lists(self) -> Iterator[Tuple[str, AlertList]]:
        """List what each key shows, each key once; by JSM's full API where there is a token for it."""
        settings, source = self._settings, self._settings.policy.source
        if settings.ops_login:
            api = OpsApi(settings.ops_url, settings.ops_login.reveal(), settings.timeout_seconds,
                         ca_file=settings.ca_file, environment=settings.proxies)  # fmt: skip
            with contextlib.closing(api):
                yield routing.DEFAULT, list_open(api.get, source, self._stop.wait, OPS_PATHS)
            return
        routes = {settings.key_of(route).reveal(): route for route in (*settings.keys, routing.DEFAULT)}
        for key, route in routes.items():
            with contextlib.closing(self._client()) as client:
                if key:
                    yield route, list_open(partial(self._get, client, key), source, self._stop.wait)

    def _get(self, client: OpsgenieClient, key: str, path: str) -> Union[Response, Delivery]:
        return client.get(path, key, time.monotonic() + self._settings.timeout_seconds)

    def _client(self) -> OpsgenieClient:
        settings = self._settings
        return OpsgenieClient(
            settings.url, settings.policy.dialect, ca_file=settings.ca_file, environment=settings.proxies
        )

    def _read_alerta(self) -> Tuple[Snapshot, FrozenSet[str]]:
        """Read what has not ended, a page at a time; as long as a page took, others have the processor."""
        alerts: Dict[str, Seen] = {}
        began, blacked_out = time.time(), []
        for number in itertools.count(1):
            page_began = time.monotonic()
            with self._process.app.app_context():
                page = Alert.find_all(qb.alerts.from_params(_NOT_ENDED), history=True, page=number, page_size=PAGE)
                for alert in page:
                    alerts[str(alert.id)] = self._side_of(alert)
                    if alert.status == BLACKOUT:
                        blacked_out.append(str(alert.id))
            if len(page) < PAGE:
                return Snapshot(alerts, began), frozenset(blacked_out)
            if self._stop.wait(time.monotonic() - page_began):
                break
        return Snapshot(alerts, began, problem="Alerta is about to stop"), frozenset()

    def _side_of(self, alert: Alert) -> Seen:
        changed = epoch_seconds(alert.update_time)
        return alerta_side(subject_of(alert), changed, order.record_of(alert).newest, self._settings.policy)

    def _look_up_in_alerta(self, alerta: Snapshot, vendor: Snapshot) -> Snapshot:
        """Look at what is open over there and was not in Alerta's list: it has ended, or is not there."""
        alerts, gone = dict(alerta.alerts), set()
        for name in sorted(set(vendor.alerts) - set(alerts)):
            with self._process.app.app_context():
                alert = Alert.find_by_id(name)
                if alert is not None and alert.id == name:
                    alerts[name] = self._side_of(alert)
                elif self._settings.policy.on_delete != "ignore":
                    gone.add(name)
        return alerta._replace(alerts=alerts, gone=frozenset(gone))

    def _look_up_at_vendor(self, vendor: Snapshot, alerta: Snapshot) -> Snapshot:
        """Ask singly for what is open in Alerta and was not in the vendor's list."""
        settings, looks = self._settings, {}
        with contextlib.closing(self._client()) as client:
            for name in rules.to_look_up(alerta, vendor):
                route = alerta.alerts[name].route
                key = settings.key_of(route).reveal()
                data = client.find(name, key, time.monotonic() + settings.timeout_seconds)
                if data is None or self._stop.is_set():
                    break  # what was not looked up is looked up in the next sweep
                looks[name] = (route, data)
        return with_looks(vendor, looks, settings.policy.source)

    # -- Repairing

    def _repair(self, repair: Repair) -> bool:
        with self._process.app.test_request_context("/"):
            alert = Alert.find_by_id(repair.alert)
            if alert is not None and alert.id != repair.alert:
                return False
            if repair.side == rules.ALERTA:
                return self._repair_in_alerta(repair)
            return self._repair_at_vendor(repair, alert)

    def _repair_at_vendor(self, repair: Repair, alert: Optional[Alert]) -> bool:
        """Put the requests into the outbox, unless Alerta's alert has changed since it was read."""
        now = self._side_of(alert) if alert is not None else Seen(is_open=False)
        if not rules.is_same_state(now, repair.seen):
            return False
        subject = subject_of(alert) if alert is not None else Subject(repair.alert, status="closed")
        dispatch = repairs.requests_of(repair, subject, self._settings.policy, time.time())
        LOG.warning("opsgenie: reconcile: %s of alert %s is told to the vendor: %s",
                    repair.field, repair.alert, repair.reason)  # fmt: skip
        return bool(self._process.outbox.put(dispatch, repair.alert))

    def _repair_in_alerta(self, repair: Repair) -> bool:
        policy, done = self._settings.policy, True
        settings = self._settings.relay._replace(
            sources=frozenset({policy.source}), custom_actions={repairs.REOPEN: "open"}
        )
        for text in repairs.messages_of(repair, policy.source, time.time()):
            outcome = drive(
                relay(parse(text), settings, Circumstances(time.time())),
                lambda call: inprocess.perform(call, lend_name=True),
            )
            done = done and outcome.kind is Kind.APPLIED
            LOG.warning("opsgenie: reconcile: %s of alert %s in Alerta: %s: %s (%s) %s", repair.field, repair.alert,
                        repair.reason, outcome.kind.value, outcome.reason.value, outcome.detail)  # fmt: skip
        return done

    # -- Saying

    def _report(self, found: Sweep, done: Sequence[bool], figures: Dict[str, Any]) -> None:
        """Log what is new, and keep the figures of this sweep."""
        self._say("stop", f"nothing is repaired: {found.stopped}" if found.stopped else "")
        texts = Counter(f"{finding.field}: {finding.text}" for finding in found.findings)
        self._say("findings", "; ".join(f"{many} x {text}" for text, many in sorted(texts.items())))
        repaired = Counter(f"{repair.field} {repair.side}" for repair, is_done in zip(found.repairs, done) if is_done)
        figures.update(stopped=found.stopped, findings=texts, repaired=repaired, waiting=len(found.waiting))
        self._memory.set_value(REPORT, json.dumps(figures))

    def _say(self, what: str, text: str) -> None:
        if text != self._logged.get(what, ""):
            self._logged[what] = text
            LOG.warning("opsgenie: reconcile: %s", text or f"no {what} any more")


# -- The one of this process


_of_process = 0


def install() -> None:
    """Compare both sides from this process's first request on; more calls change nothing."""
    request_started.connect(_look)


def _look(_app: Any, **_: object) -> None:
    if _of_process != os.getpid():
        guard.attempt("starting the comparison of both sides", lambda: start(state.process()))


def start(process: state.Process, *, is_sender: bool = False) -> None:
    """Start the comparison in this process, where it is wanted and can be done."""
    global _of_process  # noqa: PLW0603 - one per process, by its meaning
    _of_process = os.getpid()
    config, wanted = process.app.config, process.sends and process.settings.reconcile_seconds
    if not wanted or not (is_sender or state.threads_run()):
        return
    if not Database.is_for(config):
        LOG.warning("opsgenie: both sides are not compared: that needs Alerta's database to be PostgreSQL")
        return
    reconciler = Reconciler(process, Memory(Database(config)))
    reconciler.start()
    atexit.register(reconciler.stop)
