#!/usr/bin/env bash
# azure-iot-device for Python acknowledges and never hands over a message that comes between connect and on_message_received.
#
# Package: azure-iot-device 2.14.0 (pip), on Python 3.11. Peer: an MQTT server of thirty lines that accepts the client with
# "session present", as a broker does whose session holds the subscription of an earlier run (the client always asks for
# that: clean session 0), sends the one message that waits for the device with QoS 1, as it may right after CONNACK
# (MQTT 3.1.1, 4.4), and awaits PUBACK. Port 8883 of loopback has to be free: the client dials no other.
#
#   connect first   connect(), a second later on_message_received = handler, the order of the makers' sample
#                   (samples/async-hub-scenarios/receive_message.py). The message is acknowledged before there is a
#                   handler, and the handler is not called in the 10 seconds after
#   handler first   on_message_received = handler, which connects by itself: the handler gets the message
#   old call        connect(), a second later receive_message(), which is deprecated: it returns the message
#
# Until the first handler is set, the client puts messages into an inbox that only receive_message reads; from then on into
# one that the handlers read, and what is in the first stays there (inbox_manager.py, use_unified_msg_mode). PUBACK is sent
# whatever becomes of the message, so a hub takes it for completed. A device that must not miss any sets the handler first.
#
# Seen: "connect first: acknowledged True, received 0", "handler first: acknowledged True, received 1",
# "old call: acknowledged True, received 1". Fails when any of these is otherwise.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check azure-iot-device==2.14.0 paho-mqtt==1.6.1
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>openssl.log

cat >device.py <<'END'
import socketserver, ssl, sys, threading, time
from azure.iot.device import IoTHubDeviceClient

CONNECT, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PING, DISCONNECT = 1, 4, 8, 10, 12, 14
TOPIC = b"devices/d1/messages/devicebound/%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound"
acknowledged = threading.Event()


def read_packet(stream):
    first, length, shift = stream.read(1), 0, 0
    while first:
        byte = stream.read(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first[0] >> 4, stream.read(length)
    return DISCONNECT, b""


def publish(topic, payload, packet_id):
    body = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big") + payload
    assert len(body) < 128
    return bytes([0x32, len(body)]) + body


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        kind, body = read_packet(self.rfile)
        while kind != DISCONNECT:
            if kind == CONNECT:
                assert body[7] & 2 == 0, "the client wants a clean session"
                self.wfile.write(b"\x20\x02\x01\x00" + publish(TOPIC, b"hello", 1))
            elif kind == PUBACK:
                acknowledged.set()
            elif kind == SUBSCRIBE:
                self.wfile.write(b"\x90\x03" + body[:2] + b"\x01")
            elif kind == UNSUBSCRIBE:
                self.wfile.write(b"\xb0\x02" + body[:2])
            elif kind == PING:
                self.wfile.write(b"\xd0\x00")
            kind, body = read_packet(self.rfile)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def get_request(self):
        connection, address = self.socket.accept()
        return tls.wrap_socket(connection, server_side=True), address


tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain("cert.pem", "key.pem")
server = Server(("127.0.0.1", 8883), Session)
threading.Thread(target=server.serve_forever, daemon=True).start()

way, received = sys.argv[1], []
device = IoTHubDeviceClient.create_from_connection_string(
    "HostName=localhost;DeviceId=d1;SharedAccessKey=AAAA", server_verification_cert=open("cert.pem").read())
if way != "handler first":
    device.connect()
    acknowledged.wait(10)
    time.sleep(1)
before = acknowledged.is_set()
if way == "old call":
    message = device.receive_message(timeout=10)
    received += [message] if message else []
else:
    device.on_message_received = received.append
    deadline = time.monotonic() + 10
    while not received and time.monotonic() < deadline:
        time.sleep(0.1)
acknowledged.wait(10)
assert before == (way != "handler first")
print(f"{way}: acknowledged {acknowledged.is_set()}, received {len(received)}", flush=True)
device.shutdown()
END

for way in "connect first" "handler first" "old call"; do
  timeout 90 venv/bin/python -W ignore device.py "$way" | tee -a seen
done
diff seen - <<'END'
connect first: acknowledged True, received 0
handler first: acknowledged True, received 1
old call: acknowledged True, received 1
END
