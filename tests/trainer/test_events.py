import json

from trainer.events import EventLog, Lookup, Read, Update, Write


def test_each_event_is_one_complete_line_at_once(tmp_path):
    path = tmp_path / "events.jsonl"
    events = EventLog(path)
    assert events.emit(Read(what="artifact.ptz", phase="evaluate")) == 0
    assert events.emit(Lookup(state="bigrams+3", key="tokens before the target")) == 1
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    events.close()
    assert first.pop("seconds") <= second.pop("seconds")
    assert first == {"schema_version": 1, "number": 0, "event": "read", "what": "artifact.ptz", "phase": "evaluate"}
    assert second == {
        "schema_version": 1,
        "number": 1,
        "event": "lookup",
        "state": "bigrams+3",
        "key": "tokens before the target",
    }


def test_a_resumed_run_appends_and_cuts_the_line_that_was_torn(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as events:
        events.emit(Write(what="artifact.ptz", num_bytes=12))
    with path.open("a") as file:
        file.write('{"schema_version": 1, "numb')
    with EventLog(path) as events:
        events.emit(Update(split="train", tokens=(0, 8), state="step 1", num_steps=1))
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [0, 1]


def test_without_a_path_events_are_counted_only(tmp_path):
    events = EventLog()
    assert [events.emit(Write(what="x", num_bytes=1)) for _ in range(2)] == [0, 1]
