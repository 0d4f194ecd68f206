"""The rules of a sweep, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerta_opsgenie.core import reconcile as rules
from alerta_opsgenie.core.agreed import AgreedState
from alerta_opsgenie.core.last_change import ALERTA, OPSGENIE
from alerta_opsgenie.core.reconcile import OFF, REPORT, Known, Sweep, read_suspects, reconcile
from alerta_opsgenie.core.snapshot import ENDLESS, AlertState, Snapshot

ID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
NOW, DAY = 1_000_000.0, 86400.0
T1, T2, T3 = NOW - 9000, NOW - 6000, NOW - 3000
ALICE, BOB = "alice@example.com", "bob@example.com"

OPEN = AlertState(is_open=True, priority="P2", changed=T1, opened=T1)
ACK = OPEN._replace(acknowledged=True)
SNOOZED = OPEN._replace(snoozed_until=NOW + DAY)
ENDED = AlertState(is_open=False, opened=T1, since=T2, changed=T2)
AGREED = AgreedState(is_open=True, priority="P2", confirmed=True, at_seconds=T1)


def snapshot(seen: AlertState | None = None, **fields: object) -> Snapshot:
    return Snapshot({ID: seen} if seen else {}, NOW)._replace(**fields)  # type: ignore[arg-type]


def compare(a: AlertState | None, v: AlertState | None, base: AgreedState | None = AGREED, **known: object) -> Sweep:
    """Compare in a second sweep with the same findings; None: it was looked up and not found."""
    agreed = {ID: base} if base else {}
    gone = frozenset({ID})
    here = snapshot(a, gone=frozenset() if a else gone)
    there = snapshot(v, gone=frozenset() if v else gone, looked_up=frozenset() if v and v.is_open else gone)
    fields = {"agreed": agreed, "since_seconds": 1.0, **known}
    first = reconcile(here, there, Known(**fields))  # type: ignore[arg-type]
    assert not first.repairs
    return reconcile(here, there, Known(suspects=first.suspects, **fields))  # type: ignore[arg-type]


def done(sweep: Sweep) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(repair.field, repair.side, repair.steps) for repair in sweep.repairs]


# -- One side was changed since both agreed

CHANGED_THERE = [
    (OPEN, ACK, AGREED, "acknowledged", ("acknowledge",)),
    (ACK, OPEN, AGREED._replace(acknowledged=True), "acknowledged", ("unacknowledge",)),
    (OPEN, SNOOZED, AGREED, "snoozed", ("snooze",)),
    (SNOOZED, OPEN, AGREED._replace(snoozed_until=NOW + DAY), "snoozed", ("unsnooze",)),
    (SNOOZED, ACK, AGREED._replace(snoozed_until=NOW + DAY), "snoozed", ("acknowledge",)),
    (SNOOZED, SNOOZED._replace(snoozed_until=NOW + 2 * DAY), AGREED._replace(snoozed_until=NOW + DAY), "snoozed",
     ("snooze",)),
    (OPEN, ENDED, AGREED, "open", ("close",)),
    (OPEN._replace(owner=ALICE), OPEN._replace(owner=BOB), AGREED._replace(owner=ALICE), "owner", ("assign",)),
    (OPEN, OPEN._replace(priority="P1"), AGREED, "priority", ("prioritise",)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "v", "base", "field", "steps"), CHANGED_THERE)
def test_a_change_of_the_vendor_since_both_agreed_is_made_in_alerta(
    a: AlertState, v: AlertState, base: AgreedState, field: str, steps: tuple[str, ...]
) -> None:
    assert done(compare(a, v, base)) == [(field, ALERTA, steps)]


@pytest.mark.parametrize(("v", "a", "base", "field", "steps"), CHANGED_THERE)
def test_a_change_in_alerta_since_both_agreed_is_sent_to_the_vendor(
    v: AlertState, a: AlertState, base: AgreedState, field: str, steps: tuple[str, ...]
) -> None:
    assert done(compare(a, v, base)) == [(field, OPSGENIE, steps)]


# -- The agreed state is unknown, or both sides were changed

CONFLICTS = [
    (ACK, OPEN, "acknowledged", ("acknowledge",), ("unacknowledge",)),
    (SNOOZED, ACK, "snoozed", ("snooze",), ("acknowledge",)),
    (OPEN._replace(owner=ALICE), OPEN._replace(owner=BOB), "owner", ("assign",), ("assign",)),
    (OPEN, OPEN._replace(priority="P1"), "priority", ("prioritise",), ("prioritise",)),
]


@pytest.mark.parametrize(("a", "v", "field", "to_vendor", "to_alerta"), CONFLICTS)
@pytest.mark.parametrize("policy", [ALERTA, OPSGENIE, REPORT, OFF])
def test_the_policy_decides_where_nothing_proves_an_order(
    a: AlertState, v: AlertState, field: str, to_vendor: tuple[str, ...], to_alerta: tuple[str, ...], policy: str
) -> None:
    found = compare(a, v, None, policies={**rules.FIELDS, field: policy})
    expected = {ALERTA: [(field, OPSGENIE, to_vendor)], OPSGENIE: [(field, ALERTA, to_alerta)]}
    assert done(found) == expected.get(policy, [])
    assert [finding.field for finding in found.findings] == ([field] if policy == REPORT else [])


def test_a_time_that_proves_an_order_goes_before_the_policy_and_the_memory() -> None:
    acked = ACK._replace(since=T3, changed=T3)
    unacked = OPEN._replace(changed=T2)
    for base in (None, AGREED._replace(acknowledged=True)):
        assert done(compare(acked, unacked, base)) == [("acknowledged", OPSGENIE, ("acknowledge",))]


def test_times_that_are_nearly_the_same_prove_nothing() -> None:
    acked, unacked = ACK._replace(since=T2 + 4, changed=T2 + 4), OPEN._replace(changed=T2)
    assert done(compare(acked, unacked, None)) == [("acknowledged", ALERTA, ("unacknowledge",))]


def test_an_offset_of_the_clocks_adds_to_the_doubt() -> None:
    here = snapshot(ACK._replace(since=T2 + 30, changed=T2 + 30))
    there = snapshot(OPEN._replace(changed=T2), clock_ahead_seconds=-40.0)
    policies = {**rules.FIELDS, "acknowledged": REPORT}
    assert reconcile(here, there, Known(policies=policies)).findings


def test_a_state_set_by_the_bridge_is_older_than_one_that_was_not() -> None:
    bridged = ACK._replace(from_bridge=True, changed=T3)
    assert done(compare(bridged, OPEN._replace(changed=T2), None)) == [("acknowledged", ALERTA, ("unacknowledge",))]
    assert done(compare(OPEN._replace(changed=T2), bridged, None)) == [("acknowledged", OPSGENIE, ("unacknowledge",))]


def test_a_vendor_restored_to_before_its_own_messages_is_wrong() -> None:
    bridged = ACK._replace(from_bridge=True, changed=T3, from_bridge_at={"state": T3})
    assert done(compare(bridged, OPEN._replace(changed=T1), AGREED)) == [("acknowledged", OPSGENIE, ("acknowledge",))]


def test_a_vendor_that_was_put_back_to_before_both_agreed_is_wrong() -> None:
    base = AGREED._replace(acknowledged=True, at_seconds=T3)
    assert done(compare(ACK, OPEN._replace(changed=T1), base)) == [("acknowledged", OPSGENIE, ("acknowledge",))]


# -- Ends, and presence

PRESENCE = [
    # Alerta, the vendor, agreed -> repair
    (OPEN, None, None, ("presence", OPSGENIE, ("create",))),
    (ACK, None, None, ("presence", OPSGENIE, ("create", "acknowledge"))),
    (OPEN, None, AGREED._replace(confirmed=False), ("presence", OPSGENIE, ("create",))),
    (OPEN._replace(opened=T3, changed=T3), ENDED, None, ("presence", OPSGENIE, ("create",))),
    (OPEN, ENDED, None, ("open", ALERTA, ("close",))),
    (ACK._replace(since=T3, changed=T3), ENDED, None, ("open", ALERTA, ("close",))),
    (ENDED, OPEN, None, ("open", OPSGENIE, ("close",))),
    (ENDED._replace(since=0.0), OPEN._replace(opened=0.0), None, ("open", OPSGENIE, ("close",))),
    (ENDED, OPEN._replace(opened=T2 + 60, changed=T3), None, ("open", OPSGENIE, ("close",))),
    (ENDED, OPEN._replace(opened=T3, changed=T3), None, ("open", ALERTA, ("create",))),
    (None, OPEN, AGREED, ("presence", OPSGENIE, ("close",))),
]


@pytest.mark.parametrize(("a", "v", "base", "expected"), PRESENCE)
def test_an_alert_that_only_one_side_has_open(
    a: AlertState | None, v: AlertState | None, base: AgreedState | None, expected: tuple[str, str, tuple[str, ...]]
) -> None:
    assert done(compare(a, v, base)) == [expected]


LEFT = [
    (OPEN, None, AGREED, {}, "shows it to this key no more"),
    (OPEN._replace(opened=T3, changed=T3), ENDED, AGREED, {}, "shows an older one"),
    (OPEN, None, None, {"since_seconds": T2}, "nothing proves it was never sent"),
    (OPEN._replace(opened=0.0), ENDED, None, {}, "nothing proves"),
]


@pytest.mark.parametrize(("a", "v", "base", "known", "text"), LEFT)
def test_an_alert_that_people_may_have_closed_is_not_created_again(
    a: AlertState, v: AlertState | None, base: AgreedState | None, known: dict[str, object], text: str
) -> None:
    found = compare(a, v, base, **known)
    assert not found.repairs
    assert [text in finding.text for finding in found.findings] == [True]


def test_an_alert_that_alerta_never_had_is_left_alone() -> None:
    found = compare(None, OPEN, None)
    assert not found.repairs
    assert not found.findings


def test_an_alert_excluded_by_the_settings_is_not_created() -> None:
    assert not compare(OPEN._replace(wanted=False), None, None).repairs


def test_nothing_is_created_with_a_key_that_shows_none_of_the_known_alerts() -> None:
    here = Snapshot({ID: OPEN, OTHER: OPEN}, NOW)
    there = Snapshot({}, NOW, gone=frozenset({ID, OTHER}), looked_up=frozenset({ID, OTHER}))
    known = Known({ID: AGREED}, {f"{OTHER} presence": ("opsgenie create", 1)}, since_seconds=1.0)
    found = reconcile(here, there, known)
    assert not found.repairs
    assert "this key sees none" in found.findings[1].text


OWNERS = [
    # Alerta, the vendor, agreed -> repaired side
    ("", ALICE, None, ALERTA),
    ("", ALICE, "", ALERTA),
    ("", ALICE, ALICE, None),
    (BOB, "", "", None),
    (BOB, "", BOB, None),
    (ALICE, "Alice@Example.com", None, None),
    (ALICE, "557058:an-account-id", None, None),
]


@pytest.mark.parametrize(("here", "there", "agreed", "side"), OWNERS)
def test_an_owner_is_set_in_alerta_if_it_has_none_unless_it_was_removed_there(
    here: str, there: str, agreed: str | None, side: str | None
) -> None:
    base = None if agreed is None else AGREED._replace(owner=agreed)
    found = compare(OPEN._replace(owner=here), OPEN._replace(owner=there), base)
    assert done(found) == ([("owner", side, ("assign",))] if side else [])


# -- Safety


def test_ends_of_a_snooze_a_few_seconds_apart_are_the_same() -> None:
    assert not compare(SNOOZED, SNOOZED._replace(snoozed_until=NOW + DAY + 4)).repairs
    assert not compare(SNOOZED._replace(snoozed_until=ENDLESS), SNOOZED).repairs


UNTOUCHED = [
    (OPEN, ACK._replace(changed=NOW - 60), {}),
    (ACK._replace(changed=NOW - 60), OPEN, {}),
    (OPEN, SNOOZED._replace(snoozed_until=NOW + 60), {}),
    (OPEN._replace(opened=NOW - 60), ENDED, {}),
    (OPEN, ACK, {"busy": frozenset({ID})}),
    (OPEN, ACK, {"base": AGREED._replace(at_seconds=NOW - 60)}),
]


@pytest.mark.parametrize(("a", "v", "known"), UNTOUCHED)
def test_a_new_busy_or_just_agreed_alert_is_not_repaired(a: AlertState, v: AlertState, known: dict[str, Any]) -> None:
    assert not compare(a, v, **known).repairs


def test_another_difference_than_in_the_sweep_before_waits_anew() -> None:
    first = reconcile(snapshot(OPEN), snapshot(ACK), Known({ID: AGREED}))
    second = reconcile(snapshot(ACK), snapshot(OPEN), Known({ID: AGREED}, first.suspects))
    assert (second.repairs, len(second.waiting)) == ((), 1)


def test_a_repair_without_effect_twice_is_left_to_a_person() -> None:
    suspects: rules.Suspects = {}
    repairs = []
    for _ in range(8):
        found = reconcile(snapshot(OPEN), snapshot(ACK), Known({ID: AGREED}, suspects))
        suspects = read_suspects(json.dumps(found.suspects))
        repairs.append(len(found.repairs))
    assert repairs == [0, 1, 0, 1, 0, 0, 0, 0]
    assert "in vain" in found.findings[0].text


@pytest.mark.parametrize("text", ["", "[]", "7", '{"a": 1}', '{"a": ["b"]}', "{", "null"])
def test_suspects_that_cannot_be_read_are_none(text: str) -> None:
    assert read_suspects(text) == {}


def test_a_step_that_the_vendors_key_cannot_do_is_reported() -> None:
    takes = frozenset({"create", "acknowledge", "close"})
    found = compare(SNOOZED, OPEN, vendor_takes={OPEN.route: takes})
    assert not found.repairs
    assert "cannot do this: snooze" in found.findings[0].text
    assert compare(SNOOZED, OPEN, vendor_takes={"another route": takes}).repairs


def test_a_memory_that_a_wrong_clock_dated_ahead_hides_nothing() -> None:
    assert compare(ACK, OPEN, base=AGREED._replace(at_seconds=NOW + 86400.0)).repairs


@pytest.mark.parametrize(
    ("base", "many", "limit", "stops"),
    [(AGREED, 25, 25, False), (AGREED, 26, 25, True), (None, 26, 25, True), (AGREED, 26, 26, False)],
)
def test_more_repairs_than_a_fault_would_need_stop_the_sweep(
    base: AgreedState | None, many: int, limit: int, *, stops: bool
) -> None:
    names = [f"{number:08}-1111-4111-8111-111111111111" for number in range(many)]
    here = Snapshot(dict.fromkeys(names, OPEN), NOW)
    ended = Snapshot(dict.fromkeys(names, ENDED), NOW, looked_up=frozenset(names))
    there = ended if base else Snapshot({}, NOW, gone=frozenset(names), looked_up=frozenset(names))
    known = Known({name: base for name in names if base}, since_seconds=1.0, limit=limit)
    suspects = reconcile(here, there, known).suspects
    found = reconcile(here, there, known._replace(suspects=suspects))
    assert (len(found.repairs), bool(found.stopped)) == ((0, True) if stops else (many, False))
    assert not found.forget


BROKEN = [
    (snapshot(OPEN, problem="half the pages"), snapshot(ACK), "half the pages"),
    (snapshot(OPEN), snapshot(ACK, problem="HTTP 500"), "HTTP 500"),
    (snapshot(OPEN), snapshot(ACK, clock_ahead_seconds=600.0), "600 s apart"),
    (snapshot(OPEN), snapshot(ACK, looked_up=frozenset({ID})), f"lacks the alert {ID}"),
]


@pytest.mark.parametrize(("here", "there", "why"), BROKEN)
def test_an_incomplete_snapshot_repairs_nothing_and_forgets_nothing(here: Snapshot, there: Snapshot, why: str) -> None:
    suspects = {f"{ID} acknowledged": ("alerta acknowledge", 1)}
    found = reconcile(here, there, Known({ID: AGREED}, suspects))
    assert why in found.stopped
    assert (found.repairs, found.suspects, found.agreed, found.forget) == ((), suspects, {}, ())


# -- The memory


def test_an_equal_state_of_both_sides_is_stored_once() -> None:
    first = reconcile(snapshot(ACK._replace(owner=ALICE)), snapshot(ACK._replace(owner=ALICE)), Known())
    assert first.agreed == {ID: AgreedState(True, True, None, ALICE, "P2", True, NOW)}
    again = reconcile(snapshot(ACK._replace(owner=ALICE)), snapshot(ACK._replace(owner=ALICE)), Known(first.agreed))
    assert again.agreed == {}


def test_an_alert_that_ended_on_both_sides_is_forgotten() -> None:
    assert reconcile(snapshot(), snapshot(), Known({ID: AGREED})).forget == (ID,)
    assert reconcile(snapshot(), snapshot(), Known({ID: AGREED._replace(at_seconds=NOW)})).forget == ()
    assert reconcile(snapshot(OPEN), snapshot(OPEN), Known({ID: AGREED})).forget == ()


def test_only_alerts_missing_on_the_other_side_are_looked_up() -> None:
    here = Snapshot({ID: OPEN, OTHER: OPEN, "closed": ENDED, "kept": OPEN._replace(wanted=False)}, NOW)
    assert rules.to_look_up(here, Snapshot({ID: OPEN}, NOW)) == [OTHER]


def test_suspects_are_looked_up_first_and_the_others_from_another_place_each_time() -> None:
    names = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(3 * rules.MOST_LOOKS)]
    here, there = Snapshot(dict.fromkeys(names, OPEN), NOW), Snapshot({}, NOW)
    suspects = {f"{names[-1]} open": ("alerta close", 1)}
    asked = [set(rules.to_look_up(here, there, suspects, turn)[: rules.MOST_LOOKS]) for turn in range(4)]
    assert all(names[-1] in one for one in asked)
    assert set().union(*asked) == set(names)


@pytest.mark.parametrize(("since", "created"), [(1.0, True), (NOW - 10.0, False), (None, False)])
def test_an_outage_from_before_the_agreed_states_is_not_created_again(since: float | None, *, created: bool) -> None:
    """People may have deleted it at the vendor: they must not be paged for it again."""
    again = OPEN._replace(opened=NOW - 900.0, changed=NOW - 900.0)
    found = compare(again, ENDED._replace(changed=T1, since=T1), None, since_seconds=since)
    assert (done(found) == [("presence", OPSGENIE, ("create",))]) is created
    assert created or any("nothing proves" in finding.text for finding in found.findings)
