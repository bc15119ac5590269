// A device on the C SDK (Azure/azure-iot-sdk-c): it sends two messages and a security message, receives one from the cloud,
// asks for its twin if told so, and ends. It prints "sent", "received BODY" and "twin BYTES" as that happens, "done" last.
//
//   device PROTOCOL [twin]      PROTOCOL: amqp, amqp-ws, mqtt or mqtt-ws
//
// DEVICE_CONNECTION_STRING and HUB_CA (a file) come from the environment; TRACE has the SDK log all frames. ../testdata/README.md
// says how it is built.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "azure_c_shared_utility/shared_util_options.h"
#include "azure_c_shared_utility/threadapi.h"
#include "c_logging/logger.h"
#include "iothub.h"
#include "iothub_client_options.h"
#include "iothub_device_client_ll.h"
#include "iothub_message.h"
#include "iothubtransportamqp.h"
#include "iothubtransportamqp_websockets.h"
#include "iothubtransportmqtt.h"
#include "iothubtransportmqtt_websockets.h"

enum { MESSAGES = 3, PATIENCE_MS = 30000, STEP_MS = 10 };

static int sent, received, twins, wrong;

static void on_status(IOTHUB_CLIENT_CONNECTION_STATUS status, IOTHUB_CLIENT_CONNECTION_STATUS_REASON reason, void *context)
{
    (void)context;
    if (status != IOTHUB_CLIENT_CONNECTION_AUTHENTICATED) {
        printf("disconnected, reason %d\n", (int)reason);
    }
}

static void on_sent(IOTHUB_CLIENT_CONFIRMATION_RESULT result, void *context)
{
    (void)context;
    if (result == IOTHUB_CLIENT_CONFIRMATION_OK) {
        printf("sent\n");
        sent++;
    } else {
        printf("error not sent: %d\n", (int)result);
        wrong++;
    }
}

static IOTHUBMESSAGE_DISPOSITION_RESULT on_message(IOTHUB_MESSAGE_HANDLE message, void *context)
{
    const unsigned char *body = NULL;
    size_t size = 0;
    (void)context;
    if (IoTHubMessage_GetContentType(message) == IOTHUBMESSAGE_STRING) {
        body = (const unsigned char *)IoTHubMessage_GetString(message);
        size = strlen((const char *)body);
    } else if (IoTHubMessage_GetByteArray(message, &body, &size) != IOTHUB_MESSAGE_OK) {
        wrong++;
    }
    printf("received %.*s\n", (int)size, (const char *)body);
    received++;
    return IOTHUBMESSAGE_ACCEPTED;
}

static void on_twin(DEVICE_TWIN_UPDATE_STATE state, const unsigned char *twin, size_t size, void *context)
{
    (void)state;
    (void)context;
    printf("twin %.*s\n", (int)size, (const char *)twin);
    twins++;
}

static void send_message(IOTHUB_DEVICE_CLIENT_LL_HANDLE client, int number, bool security)
{
    char body[32], id[16];
    snprintf(body, sizeof body, "{\"windSpeed\":%d.5}", number);
    snprintf(id, sizeof id, "message %d", number);
    IOTHUB_MESSAGE_HANDLE message = IoTHubMessage_CreateFromString(body);
    IoTHubMessage_SetMessageId(message, id);
    IoTHubMessage_SetCorrelationId(message, "correlation");
    IoTHubMessage_SetContentTypeSystemProperty(message, "application/json");
    IoTHubMessage_SetContentEncodingSystemProperty(message, "utf-8");
    IoTHubMessage_SetProperty(message, "alert", "a b&c=d");
    if (security && IoTHubMessage_SetAsSecurityMessage(message) != IOTHUB_MESSAGE_OK) {
        wrong++;
    }
    if (IoTHubDeviceClient_LL_SendEventAsync(client, message, on_sent, NULL) != IOTHUB_CLIENT_OK) {
        wrong++;
    }
    IoTHubMessage_Destroy(message);
}

static char *read_file(const char *path)
{
    FILE *file = path == NULL ? NULL : fopen(path, "rb");
    char *text = calloc(1, 1 << 16);
    if (file == NULL || text == NULL || fread(text, 1, (1 << 16) - 1, file) == 0) {
        fprintf(stderr, "HUB_CA cannot be read\n");
        exit(2);
    }
    fclose(file);
    return text;
}

static IOTHUB_CLIENT_TRANSPORT_PROVIDER protocol(const char *name)
{
    if (strcmp(name, "amqp") == 0) {
        return AMQP_Protocol;
    }
    if (strcmp(name, "amqp-ws") == 0) {
        return AMQP_Protocol_over_WebSocketsTls;
    }
    return strcmp(name, "mqtt") == 0 ? MQTT_Protocol : MQTT_WebSocket_Protocol;
}

// work runs the client until f is as large as wanted.
static bool work(IOTHUB_DEVICE_CLIENT_LL_HANDLE client, const int *f, int wanted)
{
    for (int waited = 0; *f < wanted && wrong == 0 && waited < PATIENCE_MS; waited += STEP_MS) {
        IoTHubDeviceClient_LL_DoWork(client);
        ThreadAPI_Sleep(STEP_MS);
    }
    return *f >= wanted && wrong == 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    // Nothing in the SDK does this, and without it the first error that it logs ends the program.
    if (argc < 2 || logger_init() != 0 || IoTHub_Init() != 0) {
        return 2;
    }
    IOTHUB_DEVICE_CLIENT_LL_HANDLE client = IoTHubDeviceClient_LL_CreateFromConnectionString(getenv("DEVICE_CONNECTION_STRING"), protocol(argv[1]));
    if (client == NULL) {
        return 2;
    }
    char *authority = read_file(getenv("HUB_CA"));
    bool trace = getenv("TRACE") != NULL;
    IoTHubDeviceClient_LL_SetOption(client, OPTION_TRUSTED_CERT, authority);
    IoTHubDeviceClient_LL_SetOption(client, OPTION_LOG_TRACE, &trace);
    IoTHubDeviceClient_LL_SetConnectionStatusCallback(client, on_status, NULL);
    IoTHubDeviceClient_LL_SetMessageCallback(client, on_message, NULL);
    for (int n = 1; n <= MESSAGES; n++) {
        send_message(client, n, n == MESSAGES);
    }
    bool ok = work(client, &sent, MESSAGES) && work(client, &received, 1);
    if (ok && argc > 2) {
        ok = IoTHubDeviceClient_LL_GetTwinAsync(client, on_twin, NULL) == IOTHUB_CLIENT_OK && work(client, &twins, 1);
    }
    for (int n = 0; n < 50; n++) { // what it has settled goes out
        IoTHubDeviceClient_LL_DoWork(client);
        ThreadAPI_Sleep(STEP_MS);
    }
    IoTHubDeviceClient_LL_Destroy(client);
    IoTHub_Deinit();
    logger_deinit();
    free(authority);
    if (ok) {
        printf("done\n");
    }
    return ok ? 0 : 1;
}
