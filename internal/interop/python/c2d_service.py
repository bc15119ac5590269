"""A back end, driven as node/c2d_service.js is. One message goes out after the other.

HUB_CONNECTION_STRING, HUB_CA; TRANSPORT=amqp or amqp-ws
"""
import json
import sys

from azure.iot.hub import IoTHubRegistryManager

from lib import journey, need, say, uamqp_transport

NAMES = {"id": "messageId", "correlationId": "correlationId", "contentType": "contentType",
         "contentEncoding": "contentEncoding", "ack": "iothub-ack"}


def properties(message):
    """Return the map in which the SDK expects system and application properties alike."""
    found = {wire: message[name] for name, wire in NAMES.items() if message.get(name)}
    if message.get("expiry"):
        found["expiryTimeUtc"] = message["expiry"]
    found.update(message.get("properties") or {})
    return found


def main():
    manager = IoTHubRegistryManager.from_connection_string(need("HUB_CONNECTION_STRING"), transport_type=uamqp_transport())
    say("ready")
    for line in sys.stdin:
        command = json.loads(line)
        try:
            manager.send_c2d_message(command["device"], command["message"]["body"], properties=properties(command["message"]))
            say("sent %d" % command["n"])
        except Exception as error:  # the SDK has no class for it
            say("refused %d %s: %s" % (command["n"], type(error).__name__, error))


journey(main)
