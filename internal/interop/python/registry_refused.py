"""Calls of the registry that must be refused, one for each case; prints "refused CASE STATUS".

HUB_CONNECTION_STRING
"""
import base64

from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import HttpOperationError

from lib import fields, journey, need, refusal, say


def manager(parts, **changes):
    text = ";".join("%s=%s" % pair for pair in dict(parts, **changes).items())
    return IoTHubRegistryManager.from_connection_string(text)


def main():
    parts = fields(need("HUB_CONNECTION_STRING"))
    stranger = manager(parts)
    stranger.protocol._client.add_header("Host", "unknown.example")  # dialled as our hub, addressed as another
    cases = {
        "wrong-key": manager(parts, SharedAccessKey=base64.b64encode(bytes(32)).decode()),
        "unknown-policy": manager(parts, SharedAccessKeyName="nobody"),
        "unknown-host": stranger,
    }
    for name, registry in cases.items():
        error = refusal(lambda: registry.get_device("whoever"), name)
        if not isinstance(error, HttpOperationError):
            raise error
        say("refused %s %d" % (name, error.response.status_code))


journey(main)
