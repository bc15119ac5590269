package amqpfront

import (
	"encoding/hex"
	"strings"

	"github.com/hubward/hubward/internal/amqpwire"
)

// guidTag is the delivery tag that .NET reads as the GUID of the text: its first three groups are little-endian there. It
// is nil for text that is no GUID.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Transport/AmqpIot/AmqpIotReceivingLink.cs: the lock token is
// new Guid(delivery-tag).
func guidTag(text string) []byte {
	groups := strings.Split(text, "-")
	b, err := hex.DecodeString(strings.Join(groups, ""))
	if err != nil || len(b) != 16 || len(groups) != 5 {
		return nil
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b
}

// uuidText writes an id as its 36 characters, e.g. "0f8fad5b-d9cb-469f-a165-70867728950e".
func uuidText(id amqpwire.UUID) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
