"""Ask for the properties of the event hub and of its partitions, and for a partition that is not there.

eventhub {...}   name, created, partitions
partition {...}  partition, begin, lastSequence, lastOffset, lastEnqueued, empty
refused NAME     the condition or class of the SDK's error for a partition that is not there

EVENTHUB_CONNECTION_STRING, HUB_CA, TRANSPORT (see read_events.py), CONSUMER_GROUP
"""
import json
import os

from azure.eventhub import EventHubConsumerClient

from lib import connection_options, journey, millis, named, need, refusal, say


def main():
    client = EventHubConsumerClient.from_connection_string(
        need("EVENTHUB_CONNECTION_STRING"), os.environ.get("CONSUMER_GROUP") or "$Default",
        retry_total=0, **connection_options())
    with client:
        hub = client.get_eventhub_properties()
        say("eventhub " + json.dumps({
            "name": hub["eventhub_name"],
            "created": millis(hub["created_at"]),
            "partitions": hub["partition_ids"],
        }))
        for partition in hub["partition_ids"]:
            info = client.get_partition_properties(partition)
            say("partition " + json.dumps({
                "partition": info["id"],
                "begin": info["beginning_sequence_number"],
                "lastSequence": info["last_enqueued_sequence_number"],
                "lastOffset": info["last_enqueued_offset"],
                "lastEnqueued": millis(info["last_enqueued_time_utc"]),
                "empty": info["is_empty"],
            }))
        error = refusal(lambda: client.get_partition_properties("99"), "a partition that is not there")
        say("refused " + named(error))


journey(main)
