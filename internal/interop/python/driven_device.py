"""A device, driven as node/driven_device.js is. One command is done after the other.

DEVICE_CONNECTION_STRING, HUB_CA; RETRY=1: the SDK connects again by itself; TRANSPORT=mqtt-ws; CLOSED=1
"""
import asyncio
import json
import os
import sys

from azure.iot.device import MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient

from lib import device_options, journey, need, say


def options():
    retry = os.environ.get("RETRY") == "1"
    chosen = dict(device_options(retry=retry), websockets=os.environ.get("TRANSPORT") == "mqtt-ws")
    if retry:
        chosen["connection_retry_interval"] = 1
    return chosen


class Device:
    """The client, and the calls that it holds. Handlers are coroutines: functions are handed to a pool of threads, in any
    order."""

    def __init__(self):
        self.client = IoTHubDeviceClient.create_from_connection_string(need("DEVICE_CONNECTION_STRING"), **options())
        self.held = {}

    async def open(self, _command):
        await self.client.connect()

    async def twin(self, _command):
        return await self.client.get_twin()

    async def watch(self, _command):
        async def changed(patch):
            say("desired " + json.dumps(patch))

        self.client.on_twin_desired_properties_patch_received = changed

    async def report(self, command):
        await self.client.patch_twin_reported_properties(command["patch"])

    async def handle(self, _command):
        self.client.on_method_request_received = self.called

    async def called(self, request):
        if request.name == "hold":
            self.held[request.payload["key"]] = request  # before the test can ask for its answer
        say("call " + json.dumps({"method": request.name, "payload": request.payload}))
        if request.name != "hold":
            await self.client.send_method_response(MethodResponse.create_from_method_request(request, 207, request.payload))
        if request.name == "close":
            asyncio.get_running_loop().create_task(self.client.disconnect())

    async def answer(self, command):
        request = self.held[command["key"]]
        await self.client.send_method_response(
            MethodResponse.create_from_method_request(request, command["status"], command.get("payload")))

    async def obey(self, command):
        try:
            result = await getattr(self, command["do"])(command)
            say("done %d %s" % (command["n"], json.dumps(result)))
        except Exception as error:  # whichever it is, the test looks at it
            say("failed %d %s" % (command["n"], json.dumps({"name": type(error).__name__, "message": str(error.__cause__ or error)})))


async def run():
    device = Device()
    if os.environ.get("CLOSED") != "1":
        await device.client.connect()
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        await device.obey(json.loads(line))
    await device.client.shutdown()


journey(lambda: asyncio.run(run()))
