"""`alerta-opsgenie spool`: listing waiting actions and dead letters, and deciding about them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner

from alerta_opsgenie.cli import group
from alerta_opsgenie.journal import Journal, New
from tests.cli.state_directory import NOWHERE, StateDirectory, call_on_terminal
from tests.support.bad_server import BadServer

OTHER = "https://other.example.com/api"


class TestList:
    def test_a_table_has_a_line_for_each_with_age_tries_and_reason(self, place: StateDirectory) -> None:
        waiting = place.keep("Acknowledge", age_seconds=7200)
        dead = place.keep("Close", dead=True)
        lines = place.run("spool", "list").output.splitlines()
        assert lines[0].split() == ["ID", "STATE", "AGE", "TRIES", "ACTION", "ALERT", "REASON"]
        assert lines[1].split()[:7] == [waiting.key[:8], "waiting", "2", "h", "0", "Acknowledge", waiting.alert]
        assert lines[2].split()[:2] == [dead.key[:8], "dead"]
        assert lines[2].endswith(f"{dead.alert} not-found: Alerta has no such alert")
        assert lines[3] == "0 in flight; 1 waiting, the oldest for 2 h; 1 dead"

    def test_several_targets_are_all_listed_with_their_names(self, place: StateDirectory) -> None:
        place.keep("Close")
        place.keep("Acknowledge", url=OTHER)
        lines = place.run("spool", "list").output.splitlines()
        assert "TARGET" in lines[0]
        assert sorted(NOWHERE in line for line in lines[1:3]) == [False, True]
        assert sorted(OTHER in line for line in lines[1:3]) == [False, True]
        assert lines[3].startswith("0 in flight; 2 waiting")

    def test_the_plugins_outbox_is_listed_too(self, place: StateDirectory) -> None:
        Journal(str(place.directory)).append([New("k" * 64, str(uuid.uuid4()), 1, "create", "{}")], 1.0)
        read = json.loads(place.run("spool", "list", "--json").output)
        assert [(one["target"], one["action"]) for one in read["actions"]] == [("Opsgenie or JSM", "create")]

    def test_a_narrow_terminal_gets_lines_that_fit(self, place: StateDirectory) -> None:
        kept = place.keep("Acknowledge")
        code, output = call_on_terminal("spool", "list", "--spool-dir", str(place.directory), COLUMNS="60")
        assert (code, kept.alert in output) == (0, True)
        assert max(map(len, output.splitlines())) <= 60

    def test_json_has_the_counts_and_the_actions(self, place: StateDirectory) -> None:
        kept = place.keep("Acknowledge", age_seconds=90)
        place.keep("Close", dead=True)
        read = json.loads(place.run("spool", "list", "--json").output)
        assert (read["waiting"], read["in_flight"], read["dead"]) == (1, 0, 1)
        assert 90 <= read["oldest_waiting_seconds"] < 120
        first = read["actions"][0]
        wanted = {"state": "waiting", "action": "Acknowledge", "alert": kept.alert, "target": NOWHERE, "key": kept.key}
        assert {name: first[name] for name in wanted} == wanted
        assert kept.key.startswith(first["id"])
        assert first["accepted_at"].endswith("Z")
        for wanted_state in ("waiting", "dead"):
            read = json.loads(place.run("spool", "list", "--state", wanted_state, "--json").output)
            assert [action["state"] for action in read["actions"]] == [wanted_state]

    def test_listing_an_absent_state_directory_does_not_create_it(self, place: StateDirectory) -> None:
        code, output, errors = place.call("spool", "list")
        assert (code, output) == (0, "0 in flight; 0 waiting; 0 dead\n")
        assert errors == f"note: nothing has been kept in {place.directory} yet\n"
        assert not place.directory.exists()

    def test_texts_from_outside_are_shown_without_control_characters(self, place: StateDirectory) -> None:
        new = New("k" * 64, str(uuid.uuid4()), 1, "\x1b[2J\x9b31m", '{"note": "\x9b2J\u202e"}')
        place.journal().record_dead(new, 1.0, "refused", "a\nb\x1b[0m")
        for command in (("list",), ("show", "kkkk")):
            output = place.run("spool", *command).output
            assert not {"\x1b", "\x9b", "\u202e"} & set(output)


class TestShow:
    def test_an_action_is_shown_in_full_by_the_beginning_of_its_id(self, place: StateDirectory) -> None:
        kept = place.keep("AddNote", note="größer 🔥")
        result = place.run("spool", "show", kept.key[:5])
        assert result.exit_code == 0
        assert f"alert:         {kept.alert}\n" in result.output
        assert '"note": "größer 🔥"' in result.output

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
    def test_each_encoding_of_the_terminal_works(self, place: StateDirectory, encoding: str) -> None:
        kept = place.keep("AddNote", note="größer 🔥 …")
        code, output, errors = place.call("spool", "show", kept.key[:8], PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert (code, errors) == (0, "")
        body = output[output.index("{") :]
        assert json.loads(body)["alert"]["note"] == "größer 🔥 …"

    def test_an_unknown_id_and_an_ambiguous_one_are_wrong_usage(self, place: StateDirectory) -> None:
        for key in ("a" * 64, "a" * 63 + "b"):
            place.journal().append([New(key, str(uuid.uuid4()), 1, "Close", "{}")], 1.0)
        code, output, errors = place.call("spool", "show", "77")
        assert (code, output) == (2, "")
        assert errors == "error: there is no action 77\n  try: alerta-opsgenie spool list\n"
        assert "aaaa matches 2 actions" in place.run("spool", "show", "aaaa").output


class TestRetryAndDrop:
    @pytest.mark.parametrize("command", ["retry", "drop"])
    def test_without_a_selection_or_consent_nothing_is_changed(
        self, place: StateDirectory, command: str
    ) -> None:
        kept = place.keep("Close", dead=True)
        for arguments in ((command,), (command, "--all", "1")):
            result = place.run("spool", *arguments)
            assert (result.exit_code, "name the actions by their ID, or give --all" in result.output) == (2, True)
        result = place.run("spool", command, "--all", answer="n\n")
        assert (result.exit_code, kept.alert in result.output) == (1, True)
        assert f"{command} 1? [y/N]" in result.output
        assert place.states() == [("Close", "dead")]

    def test_a_retried_action_waits_again_in_its_own_target(self, place: StateDirectory) -> None:
        place.keep("Close", dead=True)
        place.keep("Acknowledge", dead=True, url=OTHER)
        result = place.run("spool", "retry", "--all", answer="y\n")
        assert result.exit_code == 0
        assert "2 will be tried again" in result.output
        assert (place.states(), place.states(OTHER)) == ([("Close", "waiting")], [("Acknowledge", "waiting")])

    def test_all_selects_dead_letters_and_a_waiting_action_is_dropped_by_its_id(self, place: StateDirectory) -> None:
        first = place.keep("Acknowledge")
        place.keep("Close", dead=True)
        assert place.run("spool", "drop", "--all", "--yes").output.endswith("1 dropped\n")
        assert place.states() == [("Acknowledge", "waiting")]
        assert place.run("spool", "drop", first.key[:8], "zz", "--yes").exit_code == 2  # one that is not there
        assert place.states() == [("Acknowledge", "waiting")]
        assert place.run("spool", "drop", first.key[:8], "--yes").exit_code == 0
        assert place.states() == []


class TestDrain:
    def test_waiting_actions_are_delivered(self, place: StateDirectory) -> None:
        with BadServer("ok") as server:
            place.keep("Acknowledge", url=server.url)
            code, output, errors = place.call("spool", "drain", ALERTA_API_URL=server.url)
            assert (code, errors) == (0, "")
            assert output.endswith("nothing waits\n")
            assert place.actions(server.url) == []

    def test_without_waiting_actions_no_process_is_started(self, place: StateDirectory) -> None:
        code, output, errors = place.call("spool", "drain")
        assert (code, output, errors) == (0, "nothing waits\n", "")

    def test_an_action_that_cannot_be_delivered_is_exit_code_1_with_the_reason(self, place: StateDirectory) -> None:
        place.keep("Acknowledge")
        code, output, errors = place.call("spool", "drain")
        assert code == 1
        assert "1 waiting" in output
        assert errors.startswith("error: 1 could not be delivered (network)\n  try: ")

    def test_waiting_actions_for_another_alerta_are_reported_with_advice(self, place: StateDirectory) -> None:
        with BadServer("ok") as server:
            place.keep("Close", url=OTHER)
            code, output, _ = place.call("spool", "drain", ALERTA_API_URL=server.url)
            assert code == 1
            assert f"spool retarget {OTHER} {server.url}" in output
            assert place.call("spool", "retarget", OTHER, server.url, "--yes")[0] == 0
            assert place.call("spool", "drain", ALERTA_API_URL=server.url)[0] == 0
            assert (place.actions(OTHER), place.actions(server.url)) == ([], [])

    def test_without_an_alerta_the_advice_names_options_that_the_command_has(self, place: StateDirectory) -> None:
        place.keep("Close")
        for url, key, option in (("", "key", "--alerta-url"), (NOWHERE, "", "--alerta-key-file")):
            code, output, errors = place.call("spool", "drain", ALERTA_API_URL=url, ALERTA_API_KEY=key)
            assert (code, output) == (2, "")
            assert option in errors
            assert option in place.run("spool", "drain", "--help").output
        assert place.run("spool", "drain", ALERTA_API_URL="ftp://x").exit_code == 2


class TestMoving:
    def test_retarget_asks_and_moves_waiting_actions(self, place: StateDirectory) -> None:
        place.keep("Close")
        assert place.run("spool", "retarget", NOWHERE, OTHER, answer="n\n").exit_code == 1
        assert place.states() == [("Close", "waiting")]
        assert place.run("spool", "retarget", NOWHERE, OTHER, answer="y\n").exit_code == 0
        assert (place.states(), place.states(OTHER)) == ([], [("Close", "waiting")])

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            (OTHER, NOWHERE, "nothing was ever kept"),
            (NOWHERE, f"{NOWHERE}/alert", "are the same target"),
            ("other", NOWHERE, "give both as URLs"),
        ],
    )
    def test_an_impossible_move_is_wrong_usage(self, place: StateDirectory, old: str, new: str, what: str) -> None:
        place.keep("Close")
        result = place.run("spool", "retarget", old, new, "--yes")
        assert (result.exit_code, what in result.output) == (2, True)
        assert place.states() == [("Close", "waiting")]

    def test_an_export_can_be_imported_elsewhere_and_twice(self, place: StateDirectory, tmp_path: Path) -> None:
        place.keep("Close", dead=True)
        place.keep("Acknowledge", url=OTHER)
        lines = place.run("spool", "export").output
        other = StateDirectory(tmp_path / "elsewhere")
        for _ in range(2):
            assert other.run("spool", "import", answer=lines).exit_code == 0
            assert (other.states(), other.states(OTHER)) == ([("Close", "dead")], [("Acknowledge", "waiting")])

    @pytest.mark.parametrize("text", ["no JSON", '{"target": "ftp://x"}', "7", "{}"])
    def test_an_invalid_export_is_wrong_usage(self, place: StateDirectory, text: str) -> None:
        result = place.run("spool", "import", answer=text)
        assert (result.exit_code, isinstance(result.exception, SystemExit)) == (2, True)


class TestStateDirectory:
    def test_a_state_directory_that_others_can_write_is_refused_unchanged(self, place: StateDirectory) -> None:
        place.keep("Close")
        place.directory.chmod(0o777)
        code, output, errors = place.call("spool", "drop", "--all")
        assert (code, output) == (1, "")
        assert "is open to other users" in errors.splitlines()[0]
        place.directory.chmod(0o700)

    def test_no_advice_changes_a_directory_that_is_not_ours(self) -> None:
        result = CliRunner().invoke(group, ["spool", "list", "--spool-dir", "/"])
        assert "chmod" not in result.output
