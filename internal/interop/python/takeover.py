"""Two connections with the same id: the second one works, the first one ends.

DEVICE_CONNECTION_STRING, HUB_CA
"""
import threading

from azure.iot.device import IoTHubDeviceClient

from lib import check, device_options, journey, need, wait_for


def connect():
    device = IoTHubDeviceClient.create_from_connection_string(need("DEVICE_CONNECTION_STRING"), **device_options())
    device.connect()
    return device


def main():
    first = connect()
    first.send_message("from the first")
    ended = threading.Event()
    first.on_connection_state_change = lambda: first.connected or ended.set()

    second = connect()
    wait_for(ended, "the first connection")
    check(not first.connected, "the first connection ended")
    second.send_message("from the second")
    check(second.connected, "the second connection sends")
    second.shutdown()


journey(main)
