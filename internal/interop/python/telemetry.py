"""Send COUNT messages over one MQTT connection; end when all are acknowledged.

telemetry.py sync   one after the other, each waiting for its acknowledgement
telemetry.py aio    a hundred at a time. The SDK hands them to a pool of threads, so only the hundreds keep their order

DEVICE_CONNECTION_STRING, HUB_CA, RUN_ID, COUNT
"""
import asyncio
import json
import sys

from azure.iot.device import IoTHubDeviceClient, Message
from azure.iot.device.aio import IoTHubDeviceClient as AioDeviceClient

from lib import check, device_options, journey, need

RUN = need("RUN_ID")
COUNT = int(need("COUNT"))
TOGETHER = 100


def reading(number):
    message = Message(json.dumps({"run": RUN, "number": number, "windSpeed": 5 + number % 16}))
    message.message_id = "%s-%d" % (RUN, number)
    message.correlation_id = "correlation %d/ä" % number
    message.content_type = "application/json"
    message.content_encoding = "utf-8"
    message.custom_properties["number"] = str(number)
    message.custom_properties["awkward name"] = "a/b & c=d + €"
    return message


def send_sync():
    device = IoTHubDeviceClient.create_from_connection_string(need("DEVICE_CONNECTION_STRING"), **device_options())
    device.connect()
    for number in range(COUNT):
        device.send_message(reading(number))
    device.shutdown()


async def send_aio():
    device = AioDeviceClient.create_from_connection_string(need("DEVICE_CONNECTION_STRING"), **device_options())
    await device.connect()
    for first in range(0, COUNT, TOGETHER):
        numbers = range(first, min(first + TOGETHER, COUNT))
        await asyncio.gather(*(device.send_message(reading(n)) for n in numbers))
    await device.shutdown()


def main():
    if sys.argv[1] == "aio":
        asyncio.run(send_aio())
    else:
        send_sync()
    check(True, "%d messages are acknowledged" % COUNT)


journey(main)
