"""The life of modules in the registry, with each kind of credential, and the refusals.

HUB_CONNECTION_STRING, RUN_ID
"""
import base64

from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import HttpOperationError

from lib import check, journey, need, refusal

RUN = need("RUN_ID")
MANAGER = IoTHubRegistryManager.from_connection_string(need("HUB_CONNECTION_STRING"))
KEYS = [base64.b64encode(bytes([n] * 32)).decode() for n in (7, 8)]


def status_of(call, what):
    error = refusal(call, what)
    if not isinstance(error, HttpOperationError):
        raise error
    return error.response.status_code


def modules():
    MANAGER.create_device_with_sas(RUN, *KEYS, "enabled")
    made = MANAGER.create_module_with_sas(RUN, "m1", "me", *KEYS)
    check(made.managed_by == "me" and made.authentication.symmetric_key.primary_key == KEYS[0], "given keys are kept")
    thumbs = MANAGER.create_module_with_x509(RUN, "m2", "", "A" * 40, "b" * 40)
    check(thumbs.authentication.type == "selfSigned" and thumbs.authentication.x509_thumbprint.secondary_thumbprint == "b" * 40, "given thumbprints are kept")
    authority = MANAGER.create_module_with_certificate_authority(RUN, "m3", "boss")
    check(authority.authentication.type == "certificateAuthority" and authority.managed_by == "boss", "an authority is enough")

    updated = MANAGER.update_module_with_sas(RUN, "m1", "you", made.etag, KEYS[1], KEYS[0])
    check(updated.managed_by == "you" and updated.authentication.symmetric_key.primary_key == KEYS[1], "update changes both")
    check(status_of(lambda: MANAGER.update_module_with_sas(RUN, "m1", "you", made.etag, *KEYS), "a stale etag") == 412, "it is 412")
    forced = MANAGER.update_module_with_certificate_authority(RUN, "m1", "them", None)
    check(forced.authentication.type == "certificateAuthority", "an update without an etag is done")
    check(status_of(lambda: MANAGER.create_module_with_sas(RUN, "m1", "me", *KEYS), "a module that exists") == 409, "it is 409")
    check(status_of(lambda: MANAGER.get_module(RUN, "none"), "an unknown module") == 404, "it is 404")

    check([m.module_id for m in MANAGER.get_modules(RUN)] == ["m1", "m2", "m3"], "get_modules lists all")
    check(MANAGER.get_module_twin(RUN, "m3").module_id == "m3", "each has a twin")
    check(status_of(lambda: MANAGER.delete_module(RUN, "m2", "MA=="), "a wrong etag") == 412, "it is 412")
    MANAGER.delete_module(RUN, "m2", thumbs.etag)
    MANAGER.delete_module(RUN, "m1")
    check([m.module_id for m in MANAGER.get_modules(RUN)] == ["m3"], "delete_module deletes")
    MANAGER.delete_device(RUN)


journey(modules)
