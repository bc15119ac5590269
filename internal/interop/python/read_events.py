"""Read the events of all partitions from a position and print each, until told to stop.

ready         every partition's receiver is attached
event {...}   an event
error N TEXT  the SDK gave up a receiver; N is the condition it names, else the class of its error. It opens another a
              second or two later, after the last event it has shown

EVENTHUB_CONNECTION_STRING, HUB_CA
TRANSPORT       amqp, ws, uamqp (the SDK's older transport, in C) or plain (the emulator's connection string)
CONSUMER_GROUP  $Default
START           earliest, latest, offset, sequence or time
POSITIONS       for offset and sequence: a JSON object from partition to position; for time: ms since 1970
INCLUSIVE       1: the event at the position too
OWNER_LEVEL     when set: exclusive readers of that level
TRACK           1: ask for what the partition's newest event is, and show it with each event
"""
import datetime
import json
import os
import threading

from azure.eventhub import EventHubConsumerClient
from azure.eventhub.exceptions import ConnectError, EventHubError

from lib import connection_options, journey, millis, named, need, say, text, told_to_stop

START = os.environ.get("START") or "earliest"
TRACK = os.environ.get("TRACK") == "1"


def positions():
    """Return the starting position as receive takes it: a partition that is not named starts at its first event."""
    if START in ("earliest", "latest"):
        return {"earliest": "-1", "latest": "@latest"}[START]
    given = json.loads(need("POSITIONS"))
    if START == "time":
        return datetime.datetime.fromtimestamp(given / 1000, datetime.timezone.utc)
    kind = {"offset": str, "sequence": int}[START]
    return {partition: kind(position) for partition, position in given.items()}


def system(context, event):
    shown = {}
    for key, value in event.system_properties.items():
        if text(key).startswith("iothub-"):
            shown[text(key)] = text(value)
    if TRACK:
        newest = context.last_enqueued_event_properties or {}
        for key, value in newest.items():
            shown["last_" + key] = millis(value) if isinstance(value, datetime.datetime) else value
    return shown


def show_all(context, events):
    for event in events:
        show(context, event)
    if events:
        context.update_checkpoint(events[-1])


def show(context, event):
    message = event.raw_amqp_message.properties
    shown = system(context, event)
    say("event " + json.dumps({
        "partition": context.partition_id,
        "sequence": event.sequence_number,
        "offset": event.offset,
        "enqueued": millis(event.enqueued_time),
        "device": shown.get("iothub-connection-device-id"),
        "body": event.body_as_str(),
        "messageId": event.message_id,
        "correlationId": event.correlation_id,
        "contentType": event.content_type,
        "contentEncoding": text(message.content_encoding) if message else None,
        "properties": {text(k): text(v) for k, v in (event.properties or {}).items()},
        "system": shown,
    }))


opened = threading.Event()


def slow(error):
    """Tell whether the SDK gave up a connection that took long: by WebSocket it allows a second for the handshakes."""
    return isinstance(error, ConnectError) and "SocketError" in str(error)


def failed(_, error):
    if slow(error) and not opened.is_set():
        return  # the SDK tries again
    say("error %s %s" % (named(error), " ".join(str(error).split())))


def ready(client, count):
    """Tell whether all receivers are attached. The SDK has no call for that, so this looks at what it keeps."""
    consumers = [c for p in client._event_processors.values() for c in list(p._consumers.values())]
    return len(consumers) == count and all(c.running and c.handler_ready for c in consumers)


def main():
    stop = told_to_stop()
    # With retries the SDK tells nobody of a link that is refused: it opens the next one, for ever.
    client = EventHubConsumerClient.from_connection_string(
        need("EVENTHUB_CONNECTION_STRING"), os.environ.get("CONSUMER_GROUP") or "$Default",
        load_balancing_interval=1, retry_total=0, **connection_options())
    partitions = None
    while partitions is None:
        try:
            partitions = client.get_partition_ids()
        except EventHubError as error:
            failed(None, error)
            if not slow(error):
                stop.wait()
            if stop.wait(0.1):
                return
    level = os.environ.get("OWNER_LEVEL")
    receive = threading.Thread(daemon=True, target=client.receive_batch, kwargs={
        "on_event_batch": show_all,
        "on_error": failed,
        "starting_position": positions(),
        "starting_position_inclusive": os.environ.get("INCLUSIVE") == "1",
        "owner_level": int(level) if level else None,
        "track_last_enqueued_event_properties": TRACK,
    })
    receive.start()
    while not ready(client, len(partitions)):
        if stop.wait(0.02):
            return
    opened.set()
    say("ready")
    stop.wait()
    client.close()


journey(main)
