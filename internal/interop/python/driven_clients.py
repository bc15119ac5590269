"""Devices and modules, each with a transport and a credential of its own, driven as node/driven_clients.js is.

HUB_CA
"""
import asyncio
import json
import sys

from azure.iot.device import Message, X509
from azure.iot.device.aio import IoTHubDeviceClient, IoTHubModuleClient

from c2d import shown
from lib import device_options, journey, say


def chain_of(command):
    """Write the chain and its key where the SDK reads them: it takes the names of files."""
    names = []
    for member in ("certificate", "privateKey"):
        names.append("%s-%s.pem" % (command["client"].replace("/", "-"), member))
        with open(names[-1], "w", encoding="ascii") as file:
            file.write(command[member])
    return X509(*names)


def made(command):
    """Make a client that does not connect yet."""
    kind = IoTHubModuleClient if "module" in command else IoTHubDeviceClient
    options = dict(device_options(), websockets=command["transport"] == "mqtt-ws")
    if "token" in command:
        return kind.create_from_sastoken(command["token"], **options)
    ids = {"device_id": command["device"]}
    if "module" in command:
        ids["module_id"] = command["module"]
    if "certificate" in command:
        return kind.create_from_x509_certificate(x509=chain_of(command), hostname=command["host"], **ids, **options)
    place = ";ModuleId=" + command["module"] if "module" in command else ""
    return kind.create_from_connection_string(
        "HostName={host};DeviceId={device}{place};SharedAccessKey={key}".format(place=place, **command), **options)


def telemetry(given):
    message = Message(given["body"])
    message.message_id = given["id"]
    message.correlation_id = given["correlationId"]
    message.content_type = given["contentType"]
    message.content_encoding = given["contentEncoding"]
    message.custom_properties.update(given["properties"])
    return message


class Clients:
    def __init__(self):
        self.clients = {}

    async def open(self, command):
        client = self.clients[command["client"]] = made(command)
        await client.connect()

    async def send(self, command):
        await self.clients[command["client"]].send_message(telemetry(command["message"]))

    async def receive(self, command):
        came = asyncio.get_running_loop().create_future()
        client = self.clients[command["client"]]

        async def take(message):
            came.set_result(shown(message))

        client.on_message_received = take
        return await came

    async def close(self, command):
        await self.clients[command["client"]].shutdown()

    async def obey(self, command):
        try:
            result = await getattr(self, command["do"])(command)
            say("done %d %s" % (command["n"], json.dumps(result)))
        except Exception as error:  # whichever it is, the test looks at it
            say("failed %d %s" % (command["n"], json.dumps({"name": type(error).__name__, "message": str(error.__cause__ or error)})))


async def run():
    clients, tasks = Clients(), []
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        tasks.append(asyncio.create_task(clients.obey(json.loads(line))))
    await asyncio.gather(*tasks)


journey(lambda: asyncio.run(run()))
