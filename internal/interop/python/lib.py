"""What every journey shares: its inputs, its checks, its deadline and its exit status.

Inputs are environment variables, so that no key stands on a command line. A journey ends with status 0 and the line
PASSED only when it did what it is for; anything else is status 1 with the reason on stderr. The registry's REST calls
trust the hub's authority through REQUESTS_CA_BUNDLE; the device SDK is handed its PEM text, the Event Hubs SDK the name
of its file.
"""
import base64
import hashlib
import hmac
import os
import sys
import threading
import time
import traceback
import urllib.parse

SECONDS_FOR_ALL = float(os.environ.get("JOURNEY_SECONDS", "60"))


def need(name):
    value = os.environ.get(name)
    if not value:
        raise AssertionError("the environment variable %s is required" % name)
    return value


def fields(connection_string):
    """Take a connection string apart."""
    return dict(part.split("=", 1) for part in connection_string.split(";"))


def sign(resource, key, expiry):
    """Make a device's SAS token that ends at expiry, in Unix seconds."""
    sr = urllib.parse.quote(resource, safe="")
    digest = hmac.new(base64.b64decode(key), "{}\n{}".format(sr, expiry).encode(), hashlib.sha256).digest()
    sig = urllib.parse.quote(base64.b64encode(digest), safe="")
    return "SharedAccessSignature sr={}&sig={}&se={}".format(sr, sig, expiry)


def check(condition, what):
    if not condition:
        raise AssertionError("not so: " + what)
    say("ok " + what)


def say(line):
    print(line, flush=True)


def refusal(call, what):
    """Make a call that must fail and return its error; success is the failure here."""
    try:
        call()
    except Exception as error:  # whichever it is, the caller looks at it
        return error
    raise AssertionError("not so: %s is refused" % what)


def device_options(retry=False):
    """Options for a device client. Unless it may retry, the first failure is raised instead of tried again."""
    with open(need("HUB_CA"), encoding="ascii") as pem:
        options = {"server_verification_cert": pem.read()}
    if not retry:
        options.update(connection_retry=False, auto_connect=False)
    return options


def connection_options():
    """Options for an Event Hubs client: how it connects, by TRANSPORT, and whom it trusts."""
    options = {"connection_verify": need("HUB_CA")}
    transport = os.environ.get("TRANSPORT") or "amqp"
    if transport == "ws":
        from azure.eventhub import TransportType  # only here, so that the device journeys do without the SDK
        options["transport_type"] = TransportType.AmqpOverWebsocket
    elif transport == "uamqp":
        options["uamqp_transport"] = True
    elif transport == "plain":
        check("UseDevelopmentEmulator=true" in need("EVENTHUB_CONNECTION_STRING"), "the emulator's string was given")
    elif transport != "amqp":
        raise AssertionError("TRANSPORT is %s" % transport)
    return options


def trust_for_uamqp():
    """Make uamqp trust the hub's authority: it asks certifi for a file, and can be told no other."""
    import certifi  # only here, so that the device journeys do without it

    certifi.where = lambda: need("HUB_CA")


def uamqp_transport():
    """Return how uamqp connects, by TRANSPORT, and have it trust the hub."""
    import uamqp

    trust_for_uamqp()
    return uamqp.TransportType.AmqpOverWebsocket if os.environ.get("TRANSPORT") == "amqp-ws" else uamqp.TransportType.Amqp


def named(error):
    """Return what an Event Hubs error is best told by: the condition that came with it, without "amqp:" or the like, else
    its class. The SDK makes up conditions for errors that came without one."""
    condition = getattr(error, "error", None)
    if condition in (None, "client-error", "socket-error", "unknown-error"):
        return type(error).__name__
    return condition


def text(value):
    """Turn what the SDK leaves as bytes into text, and leave the rest."""
    return value.decode("utf-8") if isinstance(value, bytes) else value


def millis(moment):
    """Return a datetime as ms since 1970."""
    return round(moment.timestamp() * 1000) if moment else None


def told_to_stop():
    """Return an event that is set when the test writes a line or closes our standard input."""
    stop = threading.Event()

    def wait():
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


def wait_for(event, what):
    if not event.wait(SECONDS_FOR_ALL):
        raise AssertionError("no end: " + what)


def wait_until(moment):
    """Return when the clock has passed moment, in Unix seconds."""
    while time.time() < moment:
        time.sleep(0.1)


def journey(main):
    """Run main, then leave: 0 only when it returned in time. The SDKs' worker threads are not waited for."""

    def too_late():
        print("FAILED no end after %.0f s: the whole journey" % SECONDS_FOR_ALL, file=sys.stderr, flush=True)
        os._exit(1)

    guard = threading.Timer(SECONDS_FOR_ALL, too_late)
    guard.daemon = True
    guard.start()
    try:
        main()
        say("PASSED")
        status = 0
    except BaseException:  # SystemExit and KeyboardInterrupt are failures too
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
