"""The life of identities in the registry: one by one, in bulk, counted, and the refusals.

HUB_CONNECTION_STRING, RUN_ID
"""
import base64

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import AuthenticationMechanism, ExportImportDevice, QuerySpecification, SymmetricKey
from msrest.exceptions import HttpOperationError

from lib import check, journey, need, refusal

RUN = need("RUN_ID")
MANAGER = IoTHubRegistryManager.from_connection_string(need("HUB_CONNECTION_STRING"))


def key_length(key):
    return len(base64.b64decode(key or ""))


def status_of(call, what):
    error = refusal(call, what)
    if not isinstance(error, HttpOperationError):
        raise error
    return error.response.status_code


def one_device(name):
    made = MANAGER.create_device_with_sas(name, "", "", "enabled")
    keys = made.authentication.symmetric_key
    check(made.device_id == name and made.status == "enabled", "create makes an enabled device")
    check(key_length(keys.primary_key) >= 16 and key_length(keys.secondary_key) >= 16, "blank keys mean: make them")
    check(made.generation_id and made.etag, "generation id and etag are set")

    got = MANAGER.get_device(name)
    check(got.as_dict() == made.as_dict(), "get shows what create showed")
    check(name in [d.device_id for d in MANAGER.get_devices()], "get_devices names the device")

    updated = MANAGER.update_device_with_sas(
        name, made.etag, keys.primary_key, keys.secondary_key, "disabled", status_reason="on the shelf")
    check(updated.status == "disabled" and updated.status_reason == "on the shelf", "update changes status and reason")
    check(updated.etag != made.etag, "update changes the etag")
    check(updated.generation_id == made.generation_id, "update keeps the generation id")

    stale = lambda: MANAGER.update_device_with_sas(  # noqa: E731
        name, made.etag, keys.primary_key, keys.secondary_key, "enabled")
    check(status_of(stale, "an update with an old etag") == 412, "an update with an old etag is a 412")
    check(status_of(lambda: MANAGER.delete_device(name, made.etag), "a stale delete") == 412, "so is a delete")

    MANAGER.delete_device(name)
    check(status_of(lambda: MANAGER.get_device(name), "get after delete") == 404, "after delete it is not found")


def keys_of_our_own(name):
    primary, secondary = (base64.b64encode(bytes([n] * 32)).decode() for n in (7, 8))
    made = MANAGER.create_device_with_sas(name, primary, secondary, "disabled", status_reason="not yet")
    check(made.authentication.symmetric_key.primary_key == primary, "given keys are kept")
    check(made.status == "disabled" and made.status_reason == "not yet", "a device can be born disabled")
    again = lambda: MANAGER.create_device_with_sas(name, primary, secondary, "enabled")  # noqa: E731
    check(status_of(again, "a second create") == 409, "a second create is a 409")
    MANAGER.delete_device(name)


def in_bulk(names):
    def rows(mode):
        auth = AuthenticationMechanism(type="sas", symmetric_key=SymmetricKey(primary_key="", secondary_key=""))
        return [ExportImportDevice(id=n, import_mode=mode, status="enabled", authentication=auth) for n in names]

    before = MANAGER.get_device_registry_statistics()
    check(MANAGER.bulk_create_or_update_devices(rows("create")).is_successful, "a bulk create adds all")
    during = MANAGER.get_device_registry_statistics()
    check(during.total_device_count == before.total_device_count + len(names), "the statistics count them")
    check(during.enabled_device_count == before.enabled_device_count + len(names), "as enabled")
    check(MANAGER.get_service_statistics().connected_device_count >= 0, "the service statistics are there")

    twice = MANAGER.bulk_create_or_update_devices(rows("create"))
    check(not twice.is_successful, "a second bulk create says that it failed")
    check(sorted(e.device_id for e in twice.errors) == names, "and names the rows that did")
    check(MANAGER.bulk_create_or_update_devices(rows("delete")).is_successful, "a bulk delete removes all")
    after = MANAGER.get_device_registry_statistics()
    check(after.total_device_count == before.total_device_count, "the statistics forget them")


def in_pages(names):
    def rows(mode):
        return [ExportImportDevice(id=n, import_mode=mode, status="enabled") for n in names]

    check(MANAGER.bulk_create_or_update_devices(rows("create")).is_successful, "a bulk create adds all")
    for size in (1, 2, 5, 100, None):
        seen, more, pages = [], None, 0
        while True:
            page = MANAGER.query_iot_hub(QuerySpecification(query="SELECT * FROM devices"), more, size)
            check(0 < len(page.items) <= (size or 100), "a page of %s has %d rows" % (size, len(page.items)))
            check(page.type == "Twin", "they are twins")
            seen += page.items
            more, pages = page.continuation_token, pages + 1
            if not more:
                break
        found = [t.device_id for t in seen]
        check(all(found.count(n) == 1 for n in names), "pages of %s have each device once" % size)
        check(size is None or pages == -(-len(seen) // size), "as many pages as it takes")
        twin = next(t for t in seen if t.device_id == names[0])
        check(twin.properties.desired["$version"] == 1 and twin.version == 2 and twin.tags == {}, "a row is a fresh twin")
    other = lambda: MANAGER.query_iot_hub(QuerySpecification(query="SELECT deviceId FROM devices"))  # noqa: E731
    check(status_of(other, "another query") == 400, "another query is a 400")
    check(MANAGER.bulk_create_or_update_devices(rows("delete")).is_successful, "a bulk delete removes all")


def main():
    one_device(RUN + "-one")
    keys_of_our_own(RUN + "-keys")
    in_bulk([RUN + "-bulk-%d" % n for n in range(3)])
    in_pages([RUN + "-page-%d" % n for n in range(5)])
    bad_name = lambda: MANAGER.create_device_with_sas("no spaces allowed", "", "", "enabled")  # noqa: E731
    check(status_of(bad_name, "a name with spaces") == 400, "a name with spaces is a 400")


journey(main)
