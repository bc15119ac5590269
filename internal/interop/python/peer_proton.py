"""A peer on Qpid Proton, which shares no code with the engine: one journey, by name, against a node of our engine.

NODE        host:port
FRAME_SIZE  for large: the frame size this side announces
"""
import os
import signal
import sys
import uuid

from proton import Delivery, Link, Message, Timeout
from proton.reactor import AtLeastOnce, AtMostOnce, LinkOption
from proton.utils import BlockingConnection, LinkDetached, SendException

from lib import check, journey, need, refusal, say

SECONDS = 30


def connect(**options):
    options.setdefault("allowed_mechs", "ANONYMOUS")
    return BlockingConnection("amqp://" + need("NODE"), timeout=SECONDS, **options)


def queue():
    """Return the address of a queue that nobody else knows."""
    return "queue/proton-" + str(uuid.uuid4())


def send(connection, address, *bodies):
    sender = connection.create_sender(address)
    for body in bodies:
        sender.send(Message(body))
    sender.close()


def take(connection, receiver, count):
    """Take what a receiver gets without granting credit; return messages and deliveries."""
    incoming = receiver.fetcher.incoming
    connection.wait(lambda: len(incoming) >= count, msg="%d messages" % count)
    return [incoming.popleft() for _ in range(count)]


def bodies(taken):
    return [message.body for message, _ in taken]


def settle(taken, state=Delivery.ACCEPTED):
    for _, delivery in taken:
        delivery.update(state)
        delivery.settle()


def works(connection):
    """Send a message to and fro. What the node had to send before has arrived when it has."""
    address = queue()
    send(connection, address, "to and fro")
    receiver = connection.create_receiver(address, credit=1)
    taken = take(connection, receiver, 1)
    settle(taken)
    receiver.close()
    return bodies(taken) == ["to and fro"]


def credit():
    """Grant credit by hand and drain it."""
    connection = connect()
    address = queue()
    send(connection, address, *range(10))
    receiver = connection.create_receiver(address, credit=0)
    incoming = receiver.fetcher.incoming
    works(connection)
    check(not incoming, "no credit, no message")

    receiver.link.flow(3)
    taken = take(connection, receiver, 3)
    works(connection)
    check(bodies(taken) == [0, 1, 2] and not incoming, "three credits, three messages")

    receiver.link.drain(20)
    connection.wait(lambda: not receiver.link.draining(), msg="drain")
    taken += take(connection, receiver, len(incoming))
    check(bodies(taken) == list(range(10)), "a drain brings what is there")
    check(receiver.link.credit == 0, "and takes the rest of the credit back")
    receiver.link.drain(5)
    connection.wait(lambda: not receiver.link.draining(), msg="drain of nothing")
    check(not incoming and receiver.link.credit == 0, "a drain of an empty queue takes all of it back")

    receiver.link.drain_mode = False
    receiver.link.flow(2)
    send(connection, address, 10)
    taken += take(connection, receiver, 1)
    check(receiver.link.credit == 1, "the link goes on after a drain")
    settle(taken)

    sender = connection.create_sender("never-credit")
    connection.wait(lambda: sender.link.credit == 1, msg="credit for one")
    sender.link.send(Message("the only one"))
    works(connection)
    check(sender.link.credit == 0, "a sender gets no credit for what is not settled")
    connection.close()


def large():
    """Messages of up to 1 MiB, all told, in small frames."""
    connection = connect(max_frame_size=int(need("FRAME_SIZE")))
    address = queue()
    sender = connection.create_sender(address)
    receiver = connection.create_receiver(address, credit=10)
    for size in (0, 1, 500, 4000, 4096, 70000, (1 << 20) - 100):
        body = bytes(n * 31 % 251 for n in range(size))
        sender.send(Message(body))
        taken = take(connection, receiver, 1)
        settle(taken)
        check(bytes(bodies(taken)[0]) == body, "%d bytes came back" % size)
    connection.close()


def many():
    """Two hundred links in twenty sessions of one connection."""
    connection = connect()
    container = connection.container
    links = []
    for _ in range(20):
        session = connection.conn.session()
        session.open()
        for _ in range(5):
            address = queue()
            links.append((container.create_sender(session, address), container.create_receiver(session, address)))
    connection.wait(lambda: all(s.credit for s, _ in links), msg="credit of all senders")
    for number, (sender, receiver) in enumerate(links):
        sender.send(Message("message %d" % number))
        receiver.flow(1)
    for number, (_, receiver) in enumerate(links):
        connection.wait(lambda r=receiver: r.current and r.current.readable and not r.current.partial)
        delivery = receiver.current
        message = Message()
        message.decode(receiver.recv(delivery.pending))
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        if message.body != "message %d" % number:
            raise AssertionError("link %d got %r" % (number, message.body))
    check(True, "%d links in 20 sessions carry messages" % (2 * len(links)))
    for sender, receiver in links[:100]:
        sender.close()
        receiver.close()
    connection.wait(lambda: all(s.state & Link.REMOTE_CLOSED for s, _ in links[:100]), msg="links to close")
    check(works(connection), "the connection works when they are closed")
    connection.close()


def refusals():
    """Links that the node refuses, or ends later."""
    connection = connect()
    for condition in ("amqp:not-found", "amqp:unauthorized-access", "com.example:of-our-own"):
        for kind, attach in (("sender", connection.create_sender), ("receiver", connection.create_receiver)):
            error = refusal(lambda: attach("refuse/" + condition), "a " + kind)
            if not isinstance(error, LinkDetached):
                raise error
            check(error.condition == condition, "a %s is refused with %s" % (kind, condition))
    for kind, attach in (("sender", connection.create_sender), ("receiver", connection.create_receiver)):
        error = refusal(lambda: attach("break/amqp:resource-deleted") and connection.wait(lambda: False), "a " + kind)
        if not isinstance(error, LinkDetached):
            raise error
        check(error.condition == "amqp:resource-deleted", "a %s is detached with its condition" % kind)
    check(works(connection), "the connection works after that")

    sender = connection.create_sender(queue())
    body = bytes((sender.link.remote_max_message_size or 0) + 1)
    check(len(body) > 1, "the node says how large a message may be")
    error = refusal(lambda: sender.send(Message(body)), "a larger message")
    if not isinstance(error, LinkDetached):
        raise error
    check(error.condition == "amqp:link:message-size-exceeded", "a message that is too large ends its link")
    check(works(connection), "and nothing else")
    connection.close()


def outcomes():
    """Every outcome, in both directions."""
    connection = connect()
    sender = connection.create_sender("reject")
    error = refusal(lambda: sender.send(Message("no")), "a message to reject")
    if not isinstance(error, SendException):
        raise error
    check(error.state == Delivery.REJECTED, "the peer's message is rejected")
    delivery = sender.send(Message("no"), error_states=[])
    condition = delivery.remote.condition
    check(condition is not None and condition.name.startswith("amqp:"), "with an error: %s" % condition)

    address = queue()
    send(connection, address, "released", "modified", "rejected", "accepted")
    receiver = connection.create_receiver(address, credit=4)
    first = take(connection, receiver, 4)
    states = (Delivery.RELEASED, Delivery.MODIFIED, Delivery.REJECTED, Delivery.ACCEPTED)
    for (_, delivery), state in zip(first, states):
        if state == Delivery.MODIFIED:
            delivery.local.failed = True
        delivery.update(state)
        delivery.settle()
    receiver.link.flow(4)
    again = take(connection, receiver, 2)
    works(connection)
    check(sorted(bodies(again)) == ["modified", "released"] and not receiver.fetcher.incoming,
          "what was released or modified comes again, the rest does not")
    settle(again)
    connection.close()


class ExactlyOnce(LinkOption):
    """The receiver settles second."""

    def apply(self, link):
        link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_SECOND


def modes():
    """The three settlement modes."""
    connection = connect()

    address = queue()
    sender = connection.create_sender(address, options=AtMostOnce())
    for body in range(5):
        sender.send(Message(body))
    receiver = connection.create_receiver(address, credit=10, options=AtMostOnce())
    taken = take(connection, receiver, 5)
    check(bodies(taken) == list(range(5)), "at most once: all are there")
    check(all(delivery.settled for _, delivery in taken), "and arrive settled")

    address = queue()
    sender = connection.create_sender(address, options=AtLeastOnce())
    delivery = sender.send(Message("acknowledged"))
    check(delivery.remote_state == Delivery.ACCEPTED, "at least once: the node accepts")
    receiver = connection.create_receiver(address, credit=10, options=AtLeastOnce())
    taken = take(connection, receiver, 1)
    check(not taken[0][1].settled, "and leaves it to us to settle")
    receiver.close()
    receiver = connection.create_receiver(address, credit=10, options=AtLeastOnce())
    check(bodies(take(connection, receiver, 1)) == ["acknowledged"], "what we did not settle comes again")
    receiver.close()

    address = queue()
    sender = connection.create_sender(address, options=ExactlyOnce())
    delivery = sender.send(Message("only once"))
    check(delivery.remote_state == Delivery.ACCEPTED, "exactly once: the node accepts")
    receiver = connection.create_receiver(address, credit=10, options=ExactlyOnce())
    [(message, delivery)] = take(connection, receiver, 1)
    check(message.body == "only once" and not delivery.settled, "it comes unsettled")
    delivery.update(Delivery.ACCEPTED)
    connection.wait(lambda: delivery.settled, msg="the node to settle")
    delivery.settle()
    works(connection)
    check(not receiver.fetcher.incoming, "the node settles what we have accepted, and it does not come again")
    connection.close()


def idle():
    """Stay connected with nothing to say. Proton announces half of what it is told: one second."""
    connection = connect(heartbeat=2)
    try:
        connection.wait(lambda: False, timeout=float(need("IDLE_SECONDS")))
    except Timeout:
        pass
    check(works(connection), "the connection is alive after %s s of silence" % need("IDLE_SECONDS"))
    connection.close()


def silent():
    """Say nothing at all until the test lets the process go on, then find the connection ended."""
    connection = connect()
    say("connected")
    error = refusal(lambda: connection.wait(lambda: False), "silence")
    say("ended %s %s" % (type(error).__name__, getattr(error, "condition", "")))


def killed():
    """Begin a large message, then wait for the end."""
    connection = connect()
    sender = connection.create_sender(queue())
    connection.wait(lambda: sender.link.credit)
    sender.link.delivery("half")
    sender.link.stream(bytes(300000))
    connection.wait(lambda: sender.link.session.outgoing_bytes == 0, msg="half a message to leave")
    say("half")
    signal.pause()


def aborted():
    """Take back messages of which a part has left."""
    connection = connect()
    address = queue()
    sender = connection.create_sender(address)
    for number in range(3):
        connection.wait(lambda: sender.link.credit)
        delivery = sender.link.delivery("half %d" % number)
        sender.link.stream(bytes(200000))
        connection.wait(lambda: sender.link.session.outgoing_bytes == 0, msg="half a message to leave")
        delivery.abort()
        sender.send(Message("whole %d" % number))
    receiver = connection.create_receiver(address, credit=10)
    taken = take(connection, receiver, 3)
    settle(taken)
    works(connection)
    check(bodies(taken) == ["whole 0", "whole 1", "whole 2"] and not receiver.fetcher.incoming,
          "only whole messages arrive")
    connection.close()


def logins():
    """Log in with each mechanism there is without TLS, and without any."""
    user, password = need("NODE_USER"), need("NODE_PASSWORD")
    plain = {"allowed_mechs": "PLAIN", "allow_insecure_mechs": True, "user": user}
    cases = {
        "ANONYMOUS": {},
        "PLAIN": dict(plain, password=password),
        "no SASL": {"sasl_enabled": False, "allowed_mechs": None},
    }
    for name, options in cases.items():
        connection = connect(**options)
        check(works(connection), "%s works" % name)
        connection.close()
    error = refusal(lambda: connect(**dict(plain, password="not it")), "a wrong password")
    check("unauthorized-access" in str(error) or "Authentication failed" in str(error),
          "a wrong password is refused: %s" % " ".join(str(error).split()))


journey({f.__name__: f for f in (
    credit, large, many, refusals, outcomes, modes, idle, silent, killed, aborted, logins)}[sys.argv[1]])
