"""Connect devices and wait until the hub has closed all of them; print "connected NAME" and "disconnected NAME".

CASES: a JSON object from name to connection string, HUB_CA
"""
import json
import threading

from azure.iot.device import IoTHubDeviceClient

from lib import device_options, journey, need, say, wait_for


def stay(name, connection_string):
    """Connect a device and return the event of its end."""
    device = IoTHubDeviceClient.create_from_connection_string(connection_string, **device_options())
    ended = threading.Event()

    def changed():
        if not device.connected and not ended.is_set():
            say("disconnected " + name)
            ended.set()

    device.connect()
    device.on_connection_state_change = changed
    say("connected " + name)
    return ended


def main():
    ends = {name: stay(name, text) for name, text in json.loads(need("CASES")).items()}
    for name, ended in ends.items():
        wait_for(ended, name)


journey(main)
