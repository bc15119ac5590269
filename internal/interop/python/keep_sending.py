"""Send numbered messages, one after the other, until told to stop; print "acked N" for each.

Reconnecting is left to the SDK. A message whose fate it leaves open is sent again, as an application would.

DEVICE_CONNECTION_STRING, HUB_CA, RUN_ID
"""
import json
import time

from azure.iot.device import IoTHubDeviceClient, Message, exceptions

from lib import device_options, journey, need, say, told_to_stop

RUN = need("RUN_ID")


def send(device, number):
    message = Message(json.dumps({"run": RUN, "number": number}))
    message.message_id = "%s-%d" % (RUN, number)
    try:
        device.send_message(message)
    except (exceptions.ClientError, exceptions.OperationCancelled, exceptions.OperationTimeout) as error:
        say("error %s" % type(error).__name__)
        return False
    say("acked %d" % number)
    return True


def main():
    device = IoTHubDeviceClient.create_from_connection_string(
        need("DEVICE_CONNECTION_STRING"), connection_retry_interval=1, **device_options(retry=True))
    device.connect()
    stop = told_to_stop()
    number = 0
    while not stop.is_set():
        if send(device, number):
            number += 1
        time.sleep(0.02)  # a device with something new to say fifty times a second
    device.shutdown()


journey(main)
