"""Says when windows open, without a line of Holdpoint: by zoneinfo and dateutil. Reads questions from stdin, one JSON document."""

import json
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr


def moments(local, zone):
    """The first and the last moment at which clocks show a local time, and whether they do at all."""
    early, late = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    shown = datetime.fromtimestamp(early.timestamp(), zone).replace(tzinfo=None) == local
    return min(early.timestamp(), late.timestamp()), max(early.timestamp(), late.timestamp()), shown


def opening(opens, closes, question):
    zone = ZoneInfo(question["zone"])
    first, last, shown = moments(opens, zone)
    twice = shown and first != last
    if not shown and question["gap"] == "skip":
        return None
    begin = last if not shown or question["overlap"] == "second" else first
    if "hours" in question:
        counted_from = last if twice and question["overlap"] == "once" else begin
        return [begin, counted_from + question["hours"] * 3600]
    first_end, last_end, end_shown = moments(closes, zone)
    end = first_end if end_shown and question["overlap"] == "first" else last_end
    if end <= begin:
        end = begin + (closes - opens).total_seconds()
    return [begin, end]


def local_times(question):
    first, last = (datetime.fromisoformat(question[key]) for key in ("first", "last"))
    if "rule" in question:
        start = datetime.fromisoformat(question["start"])
        for opens in rrulestr(question["rule"], dtstart=start).between(first, last, inc=True):
            yield opens, None
        return
    day = first
    while day <= last:
        for days, opens, closes in question["weekly"]:
            if day.weekday() in days:
                begin = day + timedelta(minutes=opens)
                yield begin, day + timedelta(minutes=closes)
        day += timedelta(days=1)


def offsets(zone, seconds):
    return [round(datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset().total_seconds() * 1000) for at in seconds]


answers = []
for asked in json.load(sys.stdin):
    if "offsetsAt" in asked:
        answers.append(offsets(asked["zone"], asked["offsetsAt"]))
        continue
    found = [opening(opens, closes, asked) for opens, closes in local_times(asked)]
    answers.append(sorted([round(begin * 1000), round(end * 1000)] for begin, end in filter(None, found)))
json.dump(answers, sys.stdout)
