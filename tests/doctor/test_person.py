"""Root becomes the connector's user for good."""

from __future__ import annotations

import os
import pwd

import pytest

from alerta_opsgenie.doctor.person import Person, become, person_of_name, person_of_uid, user_name
from alerta_opsgenie.vendor.as_user import run_as

NOBODY = pwd.getpwnam("nobody")


def test_a_user_is_found_by_name_and_by_number() -> None:
    assert person_of_name("no-such-user") is None
    assert person_of_name("nobody", "asked") == person_of_uid(NOBODY.pw_uid, "asked")
    assert (user_name(NOBODY.pw_uid), user_name(987_654)) == ("nobody", "987654")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_nothing_leads_back_to_root_and_the_home_is_the_users() -> None:
    def work() -> list[object]:
        os.environ["XDG_STATE_HOME"] = "/root/state"
        become(Person("nobody", NOBODY.pw_uid, NOBODY.pw_gid, "/nonexistent"))
        try:
            os.setuid(0)
        except PermissionError:
            return [os.getresuid(), os.getgroups(), os.environ["HOME"], os.environ.get("XDG_STATE_HOME")]
        return []

    assert run_as(0, 0, work) == [[NOBODY.pw_uid] * 3, [], "/nonexistent", None]


def test_whoever_is_not_root_stays_who_they_are() -> None:
    become(person_of_uid(os.geteuid()))
    assert person_of_uid(os.geteuid()).is_us
