"""Log-ins that must be refused, one for each case; prints "refused CASE ERROR".

CASES: a JSON object from case to connection string; the case expired-token signs with the key of its string. HUB_CA
"""
import json
import time

from azure.iot.device import IoTHubDeviceClient

from lib import device_options, fields, journey, need, refusal, say, sign, wait_until


def with_expired_token(connection_string):
    """The SDK takes no token that has ended already, so this one ends between its making and its use."""
    parts = fields(connection_string)
    expiry = int(time.time()) + 1
    token = sign("{HostName}/devices/{DeviceId}".format(**parts), parts["SharedAccessKey"], expiry)
    device = IoTHubDeviceClient.create_from_sastoken(token, **device_options())
    wait_until(expiry + 1)
    return device


def main():
    for name, connection_string in json.loads(need("CASES")).items():
        if name == "expired-token":
            device = with_expired_token(connection_string)
        else:
            device = IoTHubDeviceClient.create_from_connection_string(connection_string, **device_options())
        error = refusal(device.connect, name)
        say("refused %s %s" % (name, type(error).__name__))


journey(main)
