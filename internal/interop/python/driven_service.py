"""A back end, driven as node/driven_service.js is. It has replace, too: a full update of a twin.

HUB_CONNECTION_STRING, HUB_CA
"""
import json
import re
import sys
import threading

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, QuerySpecification, Twin, TwinProperties
from msrest.exceptions import HttpOperationError

from lib import journey, need, say

MANAGER = IoTHubRegistryManager.from_connection_string(need("HUB_CONNECTION_STRING"))


def twin_of(given):
    properties = given.get("properties")
    return Twin(tags=given.get("tags"), properties=TwinProperties(desired=properties.get("desired")) if properties else None)


def rows(text):
    found, more = [], None
    while True:
        page = MANAGER.query_iot_hub(QuerySpecification(query=text), more, 100)
        found += [twin.serialize(keep_readonly=True) for twin in page.items]
        more = page.continuation_token
        if not more:
            return found


def invoke(command):
    method = CloudToDeviceMethod(
        method_name=command["method"], payload=command.get("payload"),
        response_timeout_in_seconds=command.get("response"), connect_timeout_in_seconds=command.get("connect"))
    return MANAGER.invoke_device_method(command["device"], method).serialize()


VERBS = {
    "get": lambda c: MANAGER.get_twin(c["device"]).serialize(keep_readonly=True),
    "update": lambda c: MANAGER.update_twin(c["device"], twin_of(c["patch"]), c.get("etag")).serialize(keep_readonly=True),
    "replace": lambda c: MANAGER.replace_twin(c["device"], twin_of(c["patch"]), c.get("etag")).serialize(keep_readonly=True),
    "invoke": invoke,
    "query": lambda c: rows(c["text"]),
}


def obey(command):
    try:
        say("done %d %s" % (command["n"], json.dumps(VERBS[command["do"]](command))))
    except HttpOperationError as error:
        code = re.search(r"errorCode\W+(\w+)", error.response.text, re.IGNORECASE)
        say("failed %d %s" % (command["n"], json.dumps({
            "name": type(error).__name__, "status": error.response.status_code, "code": code.group(1) if code else ""})))
    except Exception as error:  # whichever it is, the test looks at it
        say("failed %d %s" % (command["n"], json.dumps({"name": "%s: %s" % (type(error).__name__, error)})))


def main():
    say("ready")
    running = []
    for line in sys.stdin:
        running.append(threading.Thread(target=obey, args=(json.loads(line),)))
        running[-1].start()
    for each in running:
        each.join()


journey(main)
