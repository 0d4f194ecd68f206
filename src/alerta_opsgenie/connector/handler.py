"""What is done with each message: relayed, handed to a script, passed over, or set aside; then deleted and told."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import Awaitable, Callable

from alerta_opsgenie.connector.callbacks import Callbacks, is_failure, result_of
from alerta_opsgenie.connector.courier import Courier, Delivery
from alerta_opsgenie.connector.drain import SpoolDrainer
from alerta_opsgenie.connector.holding import Holding
from alerta_opsgenie.connector.intake import Action, MisfitError, read_action
from alerta_opsgenie.connector.metrics import UNREADABLE, Metrics
from alerta_opsgenie.connector.queue import Received
from alerta_opsgenie.connector.scripts import run_script
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.connector.work import Dispatcher, Work
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import Message, MessageError
from alerta_opsgenie.core.outcome import MENDS, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import gate
from alerta_opsgenie.journal import Entry, SpoolUnavailable
from alerta_opsgenie.vendor.callback import callback_body
from alerta_opsgenie.vendor.config import JEC
from alerta_opsgenie.vendor.runner import ScriptResult

AGAIN_SECONDS = 15
"""When a message comes again that could be neither delivered nor kept."""

MOST_RECEIPTS = 5
"""After so many receipts a message on which this program fails is set aside."""

_NS = 1e9
_log = logging.getLogger(__name__)


class Handler:
    """Does what is to be done with the messages of all queues. `alerta_trouble` is what a person has to mend there."""

    def __init__(
        self,
        plan: Plan,
        courier: Courier,
        callbacks: Callbacks,
        metrics: Metrics,
        work: Dispatcher,
        scripts: Dispatcher,
    ) -> None:
        self.owner_id = ""
        self.alerta_trouble = ""
        self.drainer: SpoolDrainer | None = None
        self._plan = plan
        self._courier = courier
        self._callbacks = callbacks
        self._metrics = metrics
        self._work = work
        self._scripts = scripts

    def accept(self, holding: Holding, received: Received) -> None:
        """Let a message be dealt with."""
        try:
            action = read_action(received, self.owner_id, self._plan.config)
        except MisfitError as error:
            run = functools.partial(self._set_aside, holding, received, str(error))
            self._put(self._work, received.message_id, 0, run, holding, received)
            return
        foreign = action.mapping is not None and not action.mapping.is_alerta_executor
        do, dispatcher = (self._run_script, self._scripts) if foreign else (self._relay, self._work)
        run = functools.partial(do, holding, received, action)
        self._put(dispatcher, _lane(action.message, received), action.message.updated_ns, run, holding, received)

    def drained(self, entry: Entry, message: Message | None, outcome: Outcome) -> None:
        """Count and log how something from the spool ended."""
        self._note_alerta(outcome)
        self._metrics.ended(message.action if message else UNREADABLE, outcome)
        self._observe_latency(message, outcome)
        text = f"{outcome.kind.value} {entry.kind} {entry.lane} from the spool: {outcome.reason.value}"
        _say(text, outcome, warned=outcome.kind is Kind.KEPT, failed=outcome.kind is Kind.REJECTED)

    # -- the three ways

    async def _relay(self, holding: Holding, received: Received, action: Action) -> None:
        began = time.monotonic()
        delivery = await self._deliver(received, action)
        outcome = delivery.outcome
        self._note_alerta(outcome)
        self._metrics.attempt.observe(time.monotonic() - began)
        self._metrics.ended(action.message.action, outcome)
        self._observe_latency(action.message, outcome)
        await self._end(holding, received, delivery)
        self._tell(action, delivery)
        if outcome.kind is Kind.KEPT and delivery.safe and self.drainer is not None:
            self.drainer.wake()
        failed = is_failure(outcome, safe=delivery.safe)
        text = f"{outcome.kind.value} {_about(action.message)}: {outcome.reason.value}"
        if delivery.trouble:
            text += f"; {delivery.trouble}"
        warned = outcome.kind is Kind.KEPT or bool(delivery.trouble)
        _say(text, outcome, warned=warned, failed=failed, took_seconds=time.monotonic() - began)

    async def _deliver(self, received: Received, action: Action) -> Delivery:
        if action.mapping is None:
            return Delivery(Outcome(Kind.IGNORED, Reason.NOT_WANTED, action.refusal))
        settings = self._plan.relays[action.mapping.name]
        shut = gate(action.message, settings)
        if shut is None:
            return await self._courier.deliver(action.message, settings, received.attempted_at)
        if shut.reason is not Reason.BAD_MESSAGE:
            return Delivery(shut)
        try:
            await self._courier.disk.set_aside(received.message_id, received.body, shut.detail)
        except (SpoolUnavailable, OSError):
            return Delivery(shut, safe=False, trouble=self._courier.disk.trouble)
        return Delivery(shut)

    async def _run_script(self, holding: Holding, received: Received, action: Action) -> None:
        config = self._plan.config
        try:
            result = await run_script(
                config, received.body, received.message_id, self._plan.own.script_limit_seconds
            )
        except asyncio.CancelledError:
            # It was started and goes on without us; to start it once more would do its work twice.
            holding.finish(received)
            raise
        label = _label(result)
        self._metrics.scripts.labels(label).inc()
        holding.finish(received)
        if result.callback is not None:
            self._callbacks.put(result.callback)
        what = result.failure or result.dropped_reason or ""
        level = logging.INFO if label == "succeeded" else logging.ERROR
        _log.log(level, "script %s for %s%s", label, _about(action.message), f": {what[:300]}" if what else "")

    async def _set_aside(self, holding: Holding, received: Received, why: str) -> None:
        outcome = Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, why)
        safe, trouble = True, ""
        try:
            await self._courier.disk.set_aside(received.message_id, received.body, why)
        except (SpoolUnavailable, OSError):
            safe, trouble = False, self._courier.disk.trouble
        self._metrics.ended(UNREADABLE, outcome)
        await self._end(holding, received, Delivery(outcome, safe))
        end = f"it cannot be recorded and stays in the queue ({trouble})" if trouble else "it is kept as a dead letter"
        _log.error("set aside a message of %s: %s; %s", holding.queue.name, why, end)

    # -- their end

    async def _end(self, holding: Holding, received: Received, delivery: Delivery) -> None:
        if delivery.safe:
            holding.finish(received)
        else:
            await holding.give_back([received], AGAIN_SECONDS)

    def _tell(self, action: Action, delivery: Delivery) -> None:
        """Tell the vendor how it ended; of an action that comes again there is nothing to tell yet."""
        config, outcome = self._plan.config, delivery.outcome
        if not delivery.safe:
            return
        if action.mapping is None:
            # OEC leaves it at a line in its own log; JEC reports it.
            if config.dialect == JEC:
                self._callbacks.put(callback_body(JEC, action.envelope, failure=action.refusal))
            return
        failed = is_failure(outcome, safe=True)
        self._callbacks.put(
            result_of(config.dialect, action.envelope, _about(action.message), outcome, failed=failed)
        )

    def _observe_latency(self, message: Message | None, outcome: Outcome) -> None:
        if message is not None and outcome.kind is Kind.APPLIED and message.updated_ns:
            self._metrics.latency.observe(max(0.0, time.time() - message.updated_ns / _NS))

    def _note_alerta(self, outcome: Outcome) -> None:
        """Learn from an outcome whether Alerta takes our calls."""
        if outcome.reason in MENDS:
            self.alerta_trouble = f"{outcome.detail}; {outcome.mend}"
        elif outcome.kind is Kind.APPLIED or outcome.reason in (Reason.IN_STATE, Reason.NOT_FOUND):
            self.alerta_trouble = ""

    def _put(
        self,
        dispatcher: Dispatcher,
        lane: str,
        order_ns: int,
        run: Callable[[], Awaitable[None]],
        holding: Holding,
        received: Received,
    ) -> None:
        give_up = functools.partial(self._give_up, holding, received)
        dispatcher.put(Work(lane, order_ns, run, give_up))

    async def _give_up(self, holding: Holding, received: Received, error: Exception) -> None:
        """Let a message that this program fails on come again, and in the end set it aside."""
        if received.count < MOST_RECEIPTS:
            await holding.give_back([received], AGAIN_SECONDS)
            return
        await self._set_aside(holding, received, f"this program fails on it: {type(error).__name__}")


def _lane(message: Message, received: Received) -> str:
    try:
        alias = fields.alias(message)
    except MessageError:
        alias = None
    return alias.lower() if alias else received.message_id


def _about(message: Message) -> str:
    alias = (message.alert or {}).get("alias")
    return f"{message.action} {fields.clean_name(str(alias or 'no alert'))[:40]} by {fields.actor(message)}"


def _label(result: ScriptResult) -> str:
    if result.dropped_reason is not None:
        return "refused"
    if result.timed_out:
        return "timed-out"
    return "succeeded" if result.succeeded else "failed"


def _say(text: str, outcome: Outcome, *, warned: bool, failed: bool, took_seconds: float | None = None) -> None:
    """Write the line on an action."""
    level = logging.ERROR if failed else logging.WARNING if warned else logging.INFO
    if not _log.isEnabledFor(level):
        return
    if outcome.detail:
        text += f", {outcome.detail}"
    if failed and outcome.mend:
        text += f"; {outcome.mend}"
    if took_seconds is not None:
        text += f" ({took_seconds * 1000:.0f} ms)"
    extra = {"outcome": outcome.kind.value, "reason": outcome.reason.value}
    _log.log(level, "%s", " ".join(text.split()), extra={"fields": extra})
