package amqpfront

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
)

// Conditions beyond those of the specification. Clients know these; an unknown one is fatal to some of them.
//
// Source: Azure/azure-iot-sdk-node common/transport/amqp/src/amqp_common_errors.ts; AmqpIotErrorAdapter.cs of
// Azure/azure-iot-sdk-csharp; Azure/azure-sdk-for-python _pyamqp/error.py; azeventhubs internal/errors.go.
const (
	conditionArgument     amqpwire.Symbol = "com.microsoft:argument-error"
	conditionOutOfRange   amqpwire.Symbol = "com.microsoft:argument-out-of-range"
	conditionHubNotFound  amqpwire.Symbol = "com.microsoft:iot-hub-not-found-error"
	conditionQuota        amqpwire.Symbol = "com.microsoft:quota-exceeded"
	conditionThrottled    amqpwire.Symbol = "com.microsoft:device-container-throttled"
	conditionServerBusy   amqpwire.Symbol = "com.microsoft:server-busy"
	conditionTimeout      amqpwire.Symbol = "com.microsoft:timeout"
	conditionLockLost     amqpwire.Symbol = "com.microsoft:message-lock-lost"
	conditionLinkConflict amqpwire.Symbol = "com.microsoft:link-creation-conflict"
)

// trackingID is the info key of the id that a log line and an error share.
const trackingID amqpwire.Symbol = "com.microsoft:tracking-id"

// conditionOf is the one table from the hub's codes to conditions. What it does not name is our own fault.
func conditionOf(code hubward.Code) amqpwire.Symbol {
	switch code {
	case hubward.CodeUnauthorizedAccess, hubward.CodeUnauthorized:
		return amqpwire.UnauthorizedAccess
	case hubward.CodeHubNotFound:
		return conditionHubNotFound
	case hubward.CodeDeviceNotFound, hubward.CodeModuleNotFound, hubward.CodeNoSuchHub, hubward.CodeNoSuchConsumerGroup, hubward.CodeNotFound:
		return amqpwire.NotFound
	case hubward.CodeNoSuchPartition:
		return conditionOutOfRange
	case hubward.CodeArgumentInvalid, hubward.CodeArgumentNull, hubward.CodeFormatError:
		return conditionArgument
	case hubward.CodeReaderDisplaced, hubward.CodeConnectionClosedOnNewOne:
		return amqpwire.LinkStolen
	case hubward.CodeReaderLimit, hubward.CodeDeviceMaximumQueueDepth:
		return amqpwire.ResourceLimitExceeded
	case hubward.CodeQuotaExceeded:
		return conditionQuota
	case hubward.CodeThrottled:
		return conditionThrottled
	case hubward.CodeServiceUnavailable:
		return conditionServerBusy
	case hubward.CodeRequestTimeout, hubward.CodeGatewayTimeout:
		return conditionTimeout
	case hubward.CodeMessageTooLarge:
		return amqpwire.MessageSizeExceeded
	case hubward.CodePreconditionFailed:
		return amqpwire.PreconditionFailed
	case hubward.CodeDeviceMessageLockLost:
		return conditionLockLost
	case hubward.CodeLinkCreationConflict:
		return conditionLinkConflict
	case hubward.CodeInvalidOperation:
		return amqpwire.NotAllowed
	}
	return amqpwire.InternalError
}

// errorText is what a client may read of an error: the message for the peer, never a cause.
func errorText(err error) string {
	var e *hubward.Error
	if !errors.As(err, &e) || conditionOf(e.Code) == amqpwire.InternalError {
		return "The service met an internal error. Try again."
	}
	if e.Message == "" {
		return e.Code.String()
	}
	return e.Message
}

// wireError turns an error of the hub, or one that is for the wire already, into one for the wire.
func wireError(err error) *amqpwire.Error {
	var wire *amqpwire.Error
	if errors.As(err, &wire) {
		return wire
	}
	var damage *hub.DamageError
	if errors.As(err, &damage) {
		// An internal error would have azeventhubs open connections anew, for ever, and others try again: this one, all show.
		//
		// Source: Azure/azure-sdk-for-go sdk/messaging/azeventhubs/internal/errors.go; Azure/azure-sdk-for-python
		// azure/eventhub/_pyamqp/error.py; Azure/azure-sdk-for-js sdk/core/core-amqp/src/errors.ts.
		return newError(amqpwire.NotAllowed, "%s", damage.Text())
	}
	return &amqpwire.Error{Condition: conditionOf(hubward.CodeOf(err)), Description: errorText(err)}
}

func newError(condition amqpwire.Symbol, format string, args ...any) *amqpwire.Error {
	return &amqpwire.Error{Condition: condition, Description: fmt.Sprintf(format, args...)}
}

func notImplemented(format string, args ...any) *amqpwire.Error {
	return newError(amqpwire.NotImplemented, format, args...)
}

func argumentError(format string, args ...any) *amqpwire.Error {
	return newError(conditionArgument, format, args...)
}

func unauthorized(format string, args ...any) *amqpwire.Error {
	return newError(amqpwire.UnauthorizedAccess, format, args...)
}

// track adds a tracking id to an error, unless it has one, and returns the id.
func (s *Server) track(e *amqpwire.Error) string {
	if id, ok := amqpwire.Text(e.Info.Get(string(trackingID))); ok {
		return id
	}
	id := s.newTrackingID()
	e.Info = append(e.Info, amqpwire.Entry{Key: trackingID, Value: id})
	return id
}

// newTrackingID returns 32 hexadecimal digits, or fewer zeros when there is no randomness: an error must get out anyway.
func (s *Server) newTrackingID() string {
	var raw [16]byte
	s.randMu.Lock()
	_, err := io.ReadFull(s.rand, raw[:])
	s.randMu.Unlock()
	if err != nil {
		return "0"
	}
	return hex.EncodeToString(raw[:])
}
