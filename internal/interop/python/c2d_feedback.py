"""Hear of the outcomes of messages to devices until told to stop; print "ready", and "feedback [...]" for each feedback
message, which is completed.

c2d_feedback.py amqp    with uamqp: azure-iot-hub has no receiver of its own
c2d_feedback.py rest    with the REST calls of azure-iot-hub, asked for the raw response: else they throw the body away

HUB_CONNECTION_STRING, HUB_CA; TRANSPORT=amqp or amqp-ws
"""
import sys
import time

import uamqp
from azure.core.credentials import AccessToken
from azure.iot.hub import IoTHubHttpRuntimeManager

from lib import fields, journey, need, say, sign, told_to_stop, uamqp_transport

HUB = need("HUB_CONNECTION_STRING")
PAUSE = 0.1  # s between calls that find nothing


def receiver():
    parts = fields(HUB)
    host = parts["HostName"]

    def token():
        expiry = int(time.time()) + 3600
        return AccessToken("%s&skn=%s" % (sign(host, parts["SharedAccessKey"], expiry), parts["SharedAccessKeyName"]), expiry)

    auth = uamqp.authentication.JWTTokenAuth(
        audience="https://" + host, uri="https://" + host, get_token=token, token_type=b"servicebus.windows.net:sastoken",
        transport_type=uamqp_transport())
    auth.update_token()
    return uamqp.ReceiveClient("amqps://" + host + "/messages/serviceBound/feedback", auth=auth, prefetch=10)


def by_amqp(stop):
    client = receiver()
    client.open()
    while not client.client_ready():
        client.do_work()
    say("ready")
    while not stop.is_set():
        for message in client.receive_message_batch(max_batch_size=10, timeout=200):
            say("feedback " + b"".join(message.get_data()).decode("ascii"))
            message.accept()
    client.close()


def by_rest(stop):
    runtime = IoTHubHttpRuntimeManager.from_connection_string(HUB)
    calls = runtime.protocol.cloud_to_device_messages
    say("ready")
    while not stop.is_set():
        answer = calls.receive_feedback_notification(raw=True).response
        if answer.status_code != 200:
            time.sleep(PAUSE)  # the call does not wait for feedback
            continue
        say("feedback " + answer.content.decode("ascii"))
        runtime.complete_feedback_notification(answer.headers["ETag"].strip('"'))


def main():
    stop = told_to_stop()
    if sys.argv[1] == "rest":
        by_rest(stop)
    else:
        by_amqp(stop)


journey(main)
