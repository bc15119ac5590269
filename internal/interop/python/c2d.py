"""What the programs of messages to devices share: how a message is shown, with the members that node/c2d.js tells."""
import datetime

from lib import millis


def expiry(text):
    """Read ISO 8601 with seven digits of a second."""
    if not text:
        return None
    return millis(datetime.datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z"))


def shown(message):
    members = {
        "id": message.message_id, "correlationId": message.correlation_id, "userId": message.user_id,
        "contentType": message.content_type, "contentEncoding": message.content_encoding, "ack": message.ack,
        "expiry": expiry(message.expiry_time_utc), "properties": message.custom_properties, "body": message.data.decode("utf-8"),
    }
    return {name: value for name, value in members.items() if value is not None}
