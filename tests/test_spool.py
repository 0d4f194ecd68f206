"""The spool's promises, one by one: taking in, order, leases, dead letters, and what it tells."""

from pathlib import Path
from typing import Iterator, List, Optional

import pytest

from alerta_opsgenie.journal import Entry, Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as opened:
        yield opened


def keep(spool: Spool, key: str, lane: str = "a", order_ns: int = 0, now: float = 100.0) -> None:
    assert spool.keep(key, lane, order_ns, f"body of {key}", now=now)


def claim(spool: Spool, now: float = 100.0, lane: Optional[str] = None) -> Entry:
    entry = spool.claim(now, 10.0, "test", lane)
    assert entry is not None
    return entry


def drain(spool: Spool, now: float = 100.0) -> List[str]:
    """The keys in the order in which they are delivered."""
    keys = []
    while (entry := spool.claim(now, 10.0, "test")) is not None:
        assert spool.deliver(entry, now)
        keys.append(entry.key)
    return keys


# --- taking in -------------------------------------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was_kept(spool: Spool) -> None:
    spool.keep(
        "k", "lane", 7, '{"a": "ü"}', now=5.0, kind="Acknowledge", reason="timeout", detail="no answer in 3 s",
        attempts=2, attempted_at=4.0, due_at=9.0,
    )
    assert spool.get(1) == Entry(
        id=1, key="k", lane="lane", order_ns=7, body='{"a": "ü"}', kind="Acknowledge", state="waiting", attempts=2,
        kept_at=5.0, due_at=9.0, reason="timeout", detail="no answer in 3 s", attempted_at=4.0, since=5.0,
    )


def test_an_entry_is_due_when_it_is_kept_unless_told_otherwise(spool: Spool) -> None:
    keep(spool, "k", now=5.0)
    entry = spool.get(1)
    assert entry is not None
    assert entry.due_at == 5.0


def test_an_entry_outlives_the_object_that_kept_it(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as first:
        keep(first, "k")
    with Spool(tmp_path / "spool") as second:
        assert [entry.key for entry in second.entries()] == ["k"]


def test_a_key_that_waits_is_not_taken_again(spool: Spool) -> None:
    keep(spool, "k")
    assert not spool.keep("k", "another lane", 5, "another body", now=200.0)
    assert [(entry.lane, entry.body) for entry in spool.entries()] == [("a", "body of k")]


def test_a_key_that_is_dead_is_not_taken_again(spool: Spool) -> None:
    keep(spool, "k")
    spool.bury(claim(spool), "refused", "", 100.0)
    assert not spool.keep("k", "a", 0, "", now=200.0)


def test_a_key_that_was_delivered_is_not_taken_again(spool: Spool) -> None:
    keep(spool, "k")
    assert drain(spool) == ["k"]
    assert not spool.keep("k", "a", 0, "", now=200.0)
    assert spool.counts(200.0).waiting == 0


def test_a_key_that_was_remembered_is_not_taken(spool: Spool) -> None:
    spool.remember("k", 100.0)
    assert spool.is_delivered("k")
    assert not spool.keep("k", "a", 0, "", now=200.0)


def test_a_key_that_was_dropped_is_taken_again(spool: Spool) -> None:
    keep(spool, "k")
    assert spool.drop([1]) == 1
    keep(spool, "k")


def test_no_id_is_ever_given_twice(spool: Spool) -> None:
    """Whoever drops entry 1 by hand a second time does not hit another entry."""
    keep(spool, "first")
    spool.drop([1])
    keep(spool, "second")
    assert spool.drop([1]) == 0


def test_a_delivered_key_is_forgotten_only_when_it_is_old_enough(spool: Spool) -> None:
    spool.remember("old", 100.0)
    spool.remember("new", 101.0)
    assert spool.prune(160.0, 60.0) == 1
    assert (spool.is_delivered("old"), spool.is_delivered("new")) == (False, True)


def test_a_key_delivered_again_counts_from_the_last_time(spool: Spool) -> None:
    spool.remember("k", 100.0)
    spool.remember("k", 150.0)
    assert spool.prune(160.0, 60.0) == 0


@pytest.mark.parametrize(
    "text", ["\ud83d", "\x00", "ü\u2028", "x" * 1_000_000, ""], ids=["half", "nul", "wide", "long", "none"]
)
def test_no_text_is_too_odd_to_be_kept(spool: Spool, text: str) -> None:
    """JSON may hold half a surrogate pair, which SQLite's text may not."""
    assert spool.keep(f"k{text}", text, 0, text, now=100.0, kind=text, reason=text, detail=text)
    assert not spool.keep(f"k{text}", text, 0, text, now=100.0)
    assert spool.waits(text) == 1
    entry = claim(spool, lane=text)
    assert entry.body == text
    assert spool.deliver(entry, 100.0)
    assert spool.is_delivered(f"k{text}")


@pytest.mark.parametrize("order_ns", [2**63, -(2**63) - 1, 10**30])
def test_an_order_beyond_sqlites_integers_is_still_kept(spool: Spool, order_ns: int) -> None:
    assert spool.keep("k", "a", order_ns, "", now=100.0)
    keep(spool, "middle", order_ns=0)
    assert drain(spool) == (["middle", "k"] if order_ns > 0 else ["k", "middle"])


# --- order and lanes -------------------------------------------------------------------------------------------------


def test_a_lane_is_delivered_by_order_and_then_by_arrival(spool: Spool) -> None:
    for key, order_ns in (("c", 3), ("a", 1), ("b1", 2), ("b2", 2)):
        keep(spool, key, order_ns=order_ns)
    assert drain(spool) == ["a", "b1", "b2", "c"]


def test_only_one_entry_of_a_lane_is_claimed_at_a_time(spool: Spool) -> None:
    keep(spool, "first")
    keep(spool, "second")
    claim(spool)
    assert spool.claim(100.0, 10.0, "other") is None


def test_an_older_entry_that_arrives_later_waits_for_the_one_in_hand(spool: Spool) -> None:
    keep(spool, "second", order_ns=2)
    held = claim(spool)
    keep(spool, "first", order_ns=1)
    assert spool.claim(100.0, 10.0, "other") is None
    assert spool.postpone(held, 150.0, "timeout")
    assert claim(spool).key == "first"


def test_a_lane_that_waits_holds_up_no_other(spool: Spool) -> None:
    keep(spool, "a1", "a")
    keep(spool, "a2", "a")
    keep(spool, "b1", "b")
    spool.postpone(claim(spool, lane="a"), 500.0, "timeout")
    assert drain(spool) == ["b1"]


def test_nothing_overtakes_a_postponed_head(spool: Spool) -> None:
    keep(spool, "a1")
    keep(spool, "a2")
    spool.postpone(claim(spool), 500.0, "timeout")
    assert drain(spool, 499.0) == []
    assert drain(spool, 500.0) == ["a1", "a2"]


def test_the_lane_that_is_due_the_longest_comes_first(spool: Spool) -> None:
    for lane, due_at in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        spool.keep(lane, lane, 0, "", now=5.0, due_at=due_at)
    assert drain(spool) == ["b", "c", "a"]


def test_nothing_is_given_before_it_is_due(spool: Spool) -> None:
    spool.keep("k", "a", 0, "", now=100.0, due_at=101.0)
    assert spool.claim(100.9, 10.0, "test") is None
    assert claim(spool, 101.0).key == "k"


def test_a_claim_of_one_lane_takes_from_no_other(spool: Spool) -> None:
    keep(spool, "a1", "a")
    keep(spool, "b1", "b")
    assert claim(spool, lane="b").key == "b1"
    assert spool.claim(100.0, 10.0, "test", "b") is None
    assert spool.claim(100.0, 10.0, "test", "none") is None


# --- leases ----------------------------------------------------------------------------------------------------------


def test_a_lease_that_runs_out_is_free_again(spool: Spool) -> None:
    keep(spool, "k")
    claim(spool)
    assert spool.claim(109.9, 10.0, "other") is None
    assert claim(spool, 110.0).key == "k"


@pytest.mark.parametrize("finish", ["deliver", "postpone", "bury", "release", "renew"])
def test_whoever_lost_the_lease_changes_nothing(spool: Spool, finish: str) -> None:
    keep(spool, "k")
    lost = claim(spool)
    held = claim(spool, 110.0)
    before = spool.get(1)
    assert finish_by(spool, finish, lost) is False
    assert spool.get(1) == before
    assert not spool.is_delivered("k")
    assert spool.deliver(held, 111.0)


@pytest.mark.parametrize("finish", ["deliver", "postpone", "bury", "release", "renew"])
def test_a_lease_is_lost_to_a_claim_of_another_entry_of_the_lane(spool: Spool, finish: str) -> None:
    """Else two of one lane would be under way at once."""
    keep(spool, "second", order_ns=2)
    lost = claim(spool)
    keep(spool, "first", order_ns=1)
    held = claim(spool, 110.0)
    assert held.key == "first"
    assert finish_by(spool, finish, lost) is False
    assert spool.deliver(held, 111.0)
    assert claim(spool, 111.0).key == "second"


@pytest.mark.parametrize("finish", ["deliver", "postpone", "bury", "release", "renew"])
def test_a_lease_that_ran_out_unnoticed_still_holds(spool: Spool, finish: str) -> None:
    """A delivery that took too long is a delivery, as long as nobody else has begun another."""
    keep(spool, "k")
    late = claim(spool)
    assert spool.counts(500.0).waiting == 1
    assert finish_by(spool, finish, late) is True


@pytest.mark.parametrize("finish", ["deliver", "postpone", "bury", "release", "renew"])
def test_an_entry_that_is_gone_is_a_lost_lease(spool: Spool, finish: str) -> None:
    keep(spool, "k")
    held = claim(spool)
    spool.drop([held.id])
    assert finish_by(spool, finish, held) is False


@pytest.mark.parametrize("finish", ["deliver", "postpone", "bury", "release"])
def test_a_lease_ends_with_the_first_word(spool: Spool, finish: str) -> None:
    keep(spool, "k")
    held = claim(spool)
    assert finish_by(spool, finish, held) is True
    assert finish_by(spool, finish, held) is False


def finish_by(spool: Spool, finish: str, entry: Entry) -> bool:
    return {
        "deliver": lambda: spool.deliver(entry, 120.0),
        "postpone": lambda: spool.postpone(entry, 120.0, "timeout"),
        "bury": lambda: spool.bury(entry, "refused", "", 120.0),
        "release": lambda: spool.release(entry),
        "renew": lambda: spool.renew(entry, 120.0, 10.0),
    }[finish]()


def test_a_renewed_lease_lasts_longer(spool: Spool) -> None:
    keep(spool, "k")
    assert spool.renew(claim(spool), 105.0, 10.0)
    assert spool.claim(114.9, 10.0, "other") is None
    assert claim(spool, 115.0).key == "k"


def test_a_released_entry_is_as_it_was_and_free_at_once(spool: Spool) -> None:
    keep(spool, "k")
    assert spool.release(claim(spool))
    again = claim(spool)
    assert (again.attempts, again.due_at, again.reason) == (0, 100.0, "")


def test_a_first_claim_shows_that_nothing_was_tried_and_a_second_when_it_was(spool: Spool) -> None:
    """Whoever is killed in mid-delivery leaves that behind, so that the next one can look before it acts."""
    keep(spool, "k")
    assert claim(spool, 100.0).attempted_at is None
    assert claim(spool, 200.0).attempted_at == 100.0
    assert claim(spool, 300.0).attempted_at == 100.0


def test_an_attempt_before_the_keeping_stays_the_first(spool: Spool) -> None:
    spool.keep("k", "a", 0, "", now=100.0, attempted_at=90.0)
    assert claim(spool).attempted_at == 90.0


def test_a_claim_names_its_owner_and_its_end(spool: Spool) -> None:
    keep(spool, "k")
    claimed = claim(spool)
    assert (claimed.owner, claimed.leased_until) == ("test", 110.0)
    seen = spool.get(1)
    assert seen is not None
    assert (seen.owner, seen.leased_until) == ("test", 110.0)


# --- failing, dying, and coming back ---------------------------------------------------------------------------------


def test_a_postponed_entry_tells_how_often_and_why(spool: Spool) -> None:
    keep(spool, "k")
    for due_at in (110.0, 120.0):
        spool.postpone(claim(spool, due_at - 10.0), due_at, "timeout", "no answer in 3 s")
    entry = spool.get(1)
    assert entry is not None
    assert (entry.attempts, entry.due_at, entry.reason, entry.detail) == (2, 120.0, "timeout", "no answer in 3 s")


def test_a_buried_entry_stays_and_its_lane_goes_on(spool: Spool) -> None:
    keep(spool, "poison")
    keep(spool, "next")
    spool.bury(claim(spool), "refused", "422", 105.0)
    assert drain(spool) == ["next"]
    (dead,) = spool.entries("dead")
    assert (dead.key, dead.reason, dead.detail, dead.since, dead.attempts) == ("poison", "refused", "422", 105.0, 1)


def test_what_waits_too_long_becomes_a_dead_letter(spool: Spool) -> None:
    keep(spool, "old", now=100.0)
    keep(spool, "new", now=101.0)
    spool.postpone(claim(spool), 500.0, "timeout", "no answer")
    assert [entry.key for entry in spool.expire(160.0, 60.0)] == ["old"]
    (dead,) = spool.entries("dead")
    assert (dead.reason, dead.detail, dead.since) == ("expired", "timeout: no answer", 160.0)
    assert drain(spool, 160.0) == ["new"]


def test_expire_returns_what_is_then_stored(spool: Spool) -> None:
    keep(spool, "old")
    assert spool.expire(1000.0, 60.0) == list(spool.entries("dead"))


def test_what_is_being_delivered_does_not_expire(spool: Spool) -> None:
    keep(spool, "k")
    held = spool.claim(155.0, 10.0, "test")
    assert held is not None
    assert spool.expire(160.0, 60.0) == []
    assert spool.deliver(held, 161.0)


def test_what_a_killed_process_held_does_expire(spool: Spool) -> None:
    keep(spool, "k")
    claim(spool)
    assert [entry.key for entry in spool.expire(160.0, 60.0)] == ["k"]
    assert spool.next_due() is None


def test_a_dead_letter_comes_back_due_at_once_with_its_attempts(spool: Spool) -> None:
    keep(spool, "k")
    spool.bury(claim(spool), "refused", "", 105.0)
    assert spool.retry([1], 200.0) == 1
    entry = claim(spool, 200.0)
    assert (entry.key, entry.attempts, entry.due_at, entry.kept_at) == ("k", 1, 200.0, 100.0)


def test_a_dead_letter_that_came_back_does_not_expire_at_once(spool: Spool) -> None:
    keep(spool, "k")
    spool.expire(1000.0, 60.0)
    spool.retry([1], 1001.0)
    assert spool.expire(1002.0, 60.0) == []
    assert len(spool.expire(1061.0, 60.0)) == 1


def test_a_dead_letter_comes_back_to_its_old_place(spool: Spool) -> None:
    keep(spool, "first", order_ns=1)
    keep(spool, "second", order_ns=2)
    spool.bury(claim(spool), "refused", "", 100.0)
    spool.retry([1], 100.0)
    assert drain(spool) == ["first", "second"]


def test_only_dead_letters_are_retried(spool: Spool) -> None:
    keep(spool, "k")
    spool.postpone(claim(spool), 500.0, "timeout")
    assert spool.retry([1, 99], 200.0) == 0
    assert spool.next_due() == 500.0


def test_drop_removes_waiting_and_dead_alike_and_counts_them(spool: Spool) -> None:
    keep(spool, "dead")
    spool.bury(claim(spool), "refused", "", 100.0)
    keep(spool, "waiting")
    assert spool.drop(iter([1, 2, 2, 99])) == 2
    assert list(spool.entries()) == []
    assert spool.next_due() is None


def test_dropping_the_head_lets_the_lane_go_on(spool: Spool) -> None:
    keep(spool, "head")
    keep(spool, "next")
    spool.postpone(claim(spool), 500.0, "timeout")
    spool.drop([1])
    assert drain(spool) == ["next"]


# --- what it tells ---------------------------------------------------------------------------------------------------


def test_an_empty_spool_counts_nothing(spool: Spool) -> None:
    counts = spool.counts(100.0)
    assert (counts.waiting, counts.dead, counts.lanes) == (0, 0, 0)
    assert (counts.oldest_waiting_seconds, counts.oldest_dead_seconds) == (0.0, 0.0)
    assert spool.lanes() == {}
    assert spool.next_due() is None


def test_counts_tell_how_much_and_for_how_long(spool: Spool) -> None:
    keep(spool, "dead", now=10.0)
    spool.bury(claim(spool), "refused", "", 100.0)
    keep(spool, "a1", "a", now=50.0)
    keep(spool, "a2", "a", now=60.0)
    keep(spool, "b1", "b", now=70.0)
    counts = spool.counts(100.0)
    assert (counts.waiting, counts.dead, counts.lanes) == (3, 1, 2)
    assert (counts.oldest_waiting_seconds, counts.oldest_dead_seconds) == (50.0, 90.0)


def test_an_age_is_never_negative(spool: Spool) -> None:
    keep(spool, "k", now=100.0)
    assert spool.counts(90.0).oldest_waiting_seconds == 0.0


def test_lanes_and_waits_count_what_waits_and_not_what_is_dead(spool: Spool) -> None:
    keep(spool, "a1", "a")
    keep(spool, "a2", "a")
    keep(spool, "b1", "b")
    spool.bury(claim(spool, lane="b"), "refused", "", 100.0)
    assert spool.lanes() == {"a": 2}
    assert (spool.waits("a"), spool.waits("b"), spool.waits("none")) == (2, 0, 0)


def test_next_due_is_the_instant_at_which_a_claim_succeeds(spool: Spool) -> None:
    keep(spool, "a1", "a")
    spool.keep("b1", "b", 0, "", now=100.0, due_at=105.0)
    assert spool.next_due() == 100.0
    claim(spool)
    assert spool.next_due() == 105.0
    claim(spool, 105.0)
    assert spool.next_due() == 110.0
    assert claim(spool, 110.0).key == "a1"


def test_entries_are_listed_by_id_and_by_what_is_asked_for(spool: Spool) -> None:
    for number in range(5):
        keep(spool, f"k{number}", "ab"[number % 2], order_ns=-number)
    spool.bury(claim(spool, lane="a"), "refused", "", 100.0)
    assert [entry.key for entry in spool.entries()] == ["k0", "k1", "k2", "k3", "k4"]
    assert [entry.key for entry in spool.entries("dead")] == ["k4"]
    assert [entry.key for entry in spool.entries("waiting", "a")] == ["k0", "k2"]
    assert [entry.key for entry in spool.entries(limit=2)] == ["k0", "k1"]
    assert list(spool.entries(limit=0)) == []
    assert list(spool.entries(lane="")) == []


@pytest.mark.parametrize("number", [199, 200, 201, 400])
def test_a_long_list_is_whole_and_nobody_is_held_up_by_it(spool: Spool, number: int) -> None:
    for index in range(number):
        keep(spool, f"k{index}")
    listed = spool.entries()
    first = next(listed)
    keep(spool, "meanwhile")
    rest = [entry.key for entry in listed]
    assert [first.key, *rest][:number] == [f"k{index}" for index in range(number)]


def test_a_limit_beyond_one_page_is_kept(spool: Spool) -> None:
    for index in range(230):
        keep(spool, f"k{index}")
    assert len(list(spool.entries(limit=210))) == 210


def test_an_entrys_repr_does_not_show_its_body(spool: Spool) -> None:
    spool.keep("k", "a", 0, "a private body", now=100.0)
    assert "private" not in repr(spool.get(1))


def test_get_of_what_is_not_there_is_none(spool: Spool) -> None:
    assert spool.get(1) is None
