package journeys;

import static journeys.Lib.check;
import static journeys.Lib.need;
import static journeys.Lib.refusal;

import com.microsoft.azure.sdk.iot.service.auth.AuthenticationType;
import com.microsoft.azure.sdk.iot.service.auth.SymmetricKey;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubConflictException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubPreconditionFailedException;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.DeviceStatus;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import java.util.Base64;

/** The life of identities in the registry, counted, and the refusals. HUB_CONNECTION_STRING, RUN_ID */
final class Registry {
    private static final RegistryClient CLIENT = new RegistryClient(need("HUB_CONNECTION_STRING"));

    private Registry() {}

    private static int keyLength(String key) {
        return Base64.getDecoder().decode(key).length;
    }

    private static void oneDevice(String name) throws Exception {
        Device made = CLIENT.addDevice(new Device(name)); // the SDK makes keys of its own
        SymmetricKey keys = made.getSymmetricKey();
        check(made.getDeviceId().equals(name) && made.getStatus() == DeviceStatus.Enabled, "create makes an enabled device");
        check(keyLength(keys.getPrimaryKey()) >= 16 && keyLength(keys.getSecondaryKey()) >= 16, "it has keys");
        check(!made.getGenerationId().isEmpty() && !made.getETag().isEmpty(), "generation id and etag are set");

        Device got = CLIENT.getDevice(name);
        check(got.getETag().equals(made.getETag()) && got.getSymmetricKey().getPrimaryKey().equals(keys.getPrimaryKey()), "get shows what create showed");

        got.setStatus(DeviceStatus.Disabled);
        Device updated = CLIENT.updateDevice(got);
        check(updated.getStatus() == DeviceStatus.Disabled, "update changes the status");
        check(!updated.getETag().equals(made.getETag()), "update changes the etag");
        check(updated.getGenerationId().equals(made.getGenerationId()), "update keeps the generation id");
        check(updated.getSymmetricKey().getSecondaryKey().equals(keys.getSecondaryKey()), "and the keys");

        check(refusal(() -> CLIENT.removeDevice(made), "a delete with an old etag") instanceof IotHubPreconditionFailedException,
            "a delete with an old etag is a 412");
        CLIENT.removeDevice(updated);
        check(refusal(() -> CLIENT.getDevice(name), "get after delete") instanceof IotHubNotFoundException, "after delete it is not found");
    }

    private static void blankKeys(String name) throws Exception {
        Device device = new Device(name, AuthenticationType.SAS);
        device.setSymmetricKey(null);
        Device made = CLIENT.addDevice(device);
        check(keyLength(made.getSymmetricKey().getPrimaryKey()) >= 16, "no keys mean: make them");
        CLIENT.removeDevice(name);
    }

    private static void keysOfOurOwn(String name) throws Exception {
        Device device = new Device(name);
        String key = Base64.getEncoder().encodeToString("seven and seven and seven and 32".getBytes());
        SymmetricKey keys = new SymmetricKey();
        keys.setPrimaryKey(key);
        keys.setSecondaryKey(key);
        device.setSymmetricKey(keys);
        device.setStatus(DeviceStatus.Disabled);
        Device made = CLIENT.addDevice(device);
        check(made.getSymmetricKey().getPrimaryKey().equals(key), "given keys are kept");
        check(made.getStatus() == DeviceStatus.Disabled, "a device can be born disabled");
        check(refusal(() -> CLIENT.addDevice(device), "a second create") instanceof IotHubConflictException, "a second create is a 409");
        CLIENT.removeDevice(name);
    }

    private static void counted(String name) throws Exception {
        long before = CLIENT.getStatistics().getTotalDeviceCount();
        CLIENT.addDevice(new Device(name));
        check(CLIENT.getStatistics().getTotalDeviceCount() == before + 1, "the statistics count it");
        CLIENT.removeDevice(name);
        check(CLIENT.getStatistics().getTotalDeviceCount() == before, "and forget it");
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            String run = need("RUN_ID");
            oneDevice(run + "-one");
            blankKeys(run + "-blank");
            keysOfOurOwn(run + "-keys");
            counted(run + "-counted");
            check(refusal(() -> CLIENT.addDevice(new Device("no^such^sign")), "a bad name") instanceof IotHubBadFormatException,
                "a name with a sign that none has is a 400");
        });
    }
}
