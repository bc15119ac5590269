#!/usr/bin/env bash
# azure-iot-hub for Python calls a direct method without a payload with the payload "", and cannot call one with null.
#
# Packages: azure-iot-hub 2.7.0, and six 1.17.0, which it imports and does not ask for (PyPI), Python 3.11. Peer: an HTTPS server of twenty lines from Python's own library, which answers
# each call with 200 and notes its body.
#
# The REST call of IoT Hub takes any JSON for payload, and none ("Invoke Device Method"). The program calls invoke_device_method
# with a CloudToDeviceMethod of each kind. On the wire:
#
#   no payload given  ""
#   payload=None      ""
#   payload=0         0
#   payload=False     false
#   payload={}        {}
#
# The client replaces None by an empty text (iothub_registry_manager.py), so a device is handed a string of no characters where
# the caller meant nothing, and a handler that parses its payload as an object fails at it.
#
# Seen: the table above. Fails when one of the payloads is another.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check azure-iot-hub==2.7.0 six==1.17.0
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>openssl.log

cat >server.py <<'END'
import http.server, json, ssl

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(json.dumps(body["payload"]) if "payload" in body else "left out", flush=True)
        answer = b'{"status":200,"payload":null}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open("port", "w") as f:
    f.write(str(server.server_port))
server.serve_forever()
END

cat >call.py <<'END'
import sys
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod

hub = IoTHubRegistryManager.from_connection_string(
    "HostName=localhost:%s;SharedAccessKeyName=service;SharedAccessKey=AAAA" % sys.argv[1])
for options in ({}, {"payload": None}, {"payload": 0}, {"payload": False}, {"payload": {}}):
    hub.invoke_device_method("d", CloudToDeviceMethod(method_name="m", **options))
END

venv/bin/python server.py >got 2>server.log &
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
REQUESTS_CA_BUNDLE=$work/cert.pem timeout 60 venv/bin/python call.py "$(cat port)"
cat got
diff - got <<'END'
""
""
0
false
{}
END
