"""Read the recorder's event hub with Qpid Proton: one connection, SASL PLAIN, a receiver for each partition.

It prints "ready" and "event", and ends when its standard input does. POLICY, KEY, HUB, HUB_CA; port 5671 of localhost.
"""
import os
import sys
import threading

from proton import Described, SSLDomain, symbol
from proton.handlers import MessagingHandler
from proton.reactor import ApplicationEvent, Container, EventInjector, Filter


SELECTOR = symbol("apache.org:selector-filter:string")


class Reader(MessagingHandler):
    def __init__(self, events):
        super().__init__(prefetch=10)
        self.events = events
        self.opened = 0

    def on_start(self, event):
        event.container.selectable(self.events)
        trust = SSLDomain(SSLDomain.MODE_CLIENT)
        trust.set_trusted_ca_db(os.environ["HUB_CA"])
        trust.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
        self.connection = event.container.connect(
            "amqps://localhost:5671", user=os.environ["POLICY"], password=os.environ["KEY"],
            allowed_mechs="PLAIN", ssl_domain=trust, reconnect=False)
        for partition in range(4):
            event.container.create_receiver(
                self.connection, "%s/ConsumerGroups/$Default/Partitions/%d" % (os.environ["HUB"], partition),
                options=Filter({SELECTOR: Described(SELECTOR, "amqp.annotation.x-opt-offset > '-1'")}))

    def on_link_opened(self, event):
        self.opened += 1
        if self.opened == 4:
            print("ready", flush=True)

    def on_link_error(self, event):
        print("error %s" % event.link.remote_condition, flush=True)

    def on_message(self, event):
        print("event", flush=True)

    def on_told_to_stop(self, event):
        self.connection.close()
        self.events.close()

    def on_transport_error(self, event):
        sys.exit("transport: %s" % event.transport.condition)


def wait(events):
    sys.stdin.read()
    events.trigger(ApplicationEvent("told_to_stop"))


injector = EventInjector()
threading.Thread(target=wait, args=(injector,), daemon=True).start()
container = Container(Reader(injector))
container.container_id = "recorder"
container.run()
