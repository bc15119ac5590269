"""Receive messages until told to stop; the SDK acknowledges each by itself.

c2d_device.py sync
c2d_device.py aio

Prints "ready" and, for each delivery, "message {...}" with the members that node/c2d.js tells. The handler is there before
the connection, which setting it makes: the SDK would acknowledge what a session brings along and show it to nobody.

DEVICE_CONNECTION_STRING, HUB_CA; RETRY=1: the SDK connects again by itself; TRANSPORT=mqtt-ws
"""
import asyncio
import json
import os
import sys

from azure.iot.device import IoTHubDeviceClient
from azure.iot.device.aio import IoTHubDeviceClient as AioDeviceClient

from c2d import shown
from lib import device_options, journey, need, say, told_to_stop


def show(message):
    say("message " + json.dumps(shown(message)))


def options():
    retry = os.environ.get("RETRY") == "1"
    chosen = dict(device_options(retry=retry), auto_connect=True, websockets=os.environ.get("TRANSPORT") == "mqtt-ws")
    if retry:
        chosen["connection_retry_interval"] = 1
    return chosen


def receive_sync():
    device = IoTHubDeviceClient.create_from_connection_string(need("DEVICE_CONNECTION_STRING"), **options())
    device.on_message_received = show
    device.connect()
    say("ready")
    told_to_stop().wait()
    device.shutdown()


async def receive_aio():
    device = AioDeviceClient.create_from_connection_string(need("DEVICE_CONNECTION_STRING"), **options())

    async def handle(message):  # a coroutine: functions are handed to a pool of threads, in any order
        show(message)

    device.on_message_received = handle
    await device.connect()
    say("ready")
    await asyncio.to_thread(told_to_stop().wait)
    await device.shutdown()


def main():
    if sys.argv[1] == "aio":
        asyncio.run(receive_aio())
    else:
        receive_sync()


journey(main)
