package hubward

import (
	"errors"
	"fmt"
)

// Code is an IoT Hub error code. Its first three digits are the HTTP status; the whole number is what newer SDKs read
// and the name is what older ones read.
//
// Source: learn.microsoft.com/rest/api/iothub/common-error-codes; Azure/azure-iot-sdk-csharp
// iothub/service/src/Common/Exceptions/ErrorCode.cs.
type Code int

// The codes that the hub answers with.
const (
	CodeInvalidProtocolVersion       Code = 400001
	CodeInvalidOperation             Code = 400003
	CodeArgumentInvalid              Code = 400004
	CodeArgumentNull                 Code = 400005
	CodeFormatError                  Code = 400006
	CodeDeviceDefinedMultipleTimes   Code = 400011
	CodeDeserializationError         Code = 400012
	CodeBulkRegistryOperationFailure Code = 400013
	CodeConnectionClosedOnNewOne     Code = 400027
	CodeCredentialOperationFailed    Code = 400040
	CodeHubNotFound                  Code = 401001
	CodeUnauthorizedAccess           Code = 401002
	CodeUnauthorized                 Code = 401003
	CodeQuotaExceeded                Code = 403002
	CodeDeviceMaximumQueueDepth      Code = 403004
	CodeDeviceNotFound               Code = 404001
	CodeModuleNotFound               Code = 404010
	CodeDeviceNotOnline              Code = 404103
	CodeDeviceConnectionClosed       Code = 404104
	CodeRequestTimeout               Code = 408000
	CodeDeviceAlreadyExists          Code = 409001
	CodeLinkCreationConflict         Code = 409002
	CodeCredentialOperationPending   Code = 409004
	CodeCredentialOperationActive    Code = 409005
	CodeModuleAlreadyExistsOnDevice  Code = 409301
	CodePreconditionFailed           Code = 412001
	CodeDeviceMessageLockLost        Code = 412002
	CodeCredentialPreconditionFailed Code = 412005
	CodeMessageTooLarge              Code = 413001
	CodeTooManyDevices               Code = 413002
	CodeTooManyModulesOnDevice       Code = 413003
	CodeThrottled                    Code = 429001
	CodeThrottleBacklogLimitExceeded Code = 429002
	CodeServerError                  Code = 500001
	CodeServiceUnavailable           Code = 503001
	CodeBadDeviceResponse            Code = 502001
	CodeGatewayTimeout               Code = 504101
)

// The codes of Hubward's own management calls, which the cloud service answers on another endpoint. Their names are
// ours.
const (
	CodeHubAlreadyExists    Code = 409901
	CodePolicyAlreadyExists Code = 409902
	CodeNoSuchHub           Code = 404901
	CodeNoSuchPolicy        Code = 404902
	CodeNoSuchConsumerGroup Code = 404903
	CodeNoSuchPartition     Code = 404904
	CodeNoSuchAuthority     Code = 404905
	CodeReaderDisplaced     Code = 409903
	CodeReaderLimit         Code = 403901
	CodeNotFound            Code = 404900
	CodeMethodNotAllowed    Code = 405900
)

var codeNames = map[Code]string{
	CodeInvalidProtocolVersion:       "InvalidProtocolVersion",
	CodeInvalidOperation:             "InvalidOperation",
	CodeArgumentInvalid:              "ArgumentInvalid",
	CodeArgumentNull:                 "ArgumentNull",
	CodeFormatError:                  "IotHubFormatError",
	CodeDeviceDefinedMultipleTimes:   "DeviceDefinedMultipleTimes",
	CodeDeserializationError:         "DeserializationError",
	CodeBulkRegistryOperationFailure: "BulkRegistryOperationFailure",
	CodeConnectionClosedOnNewOne:     "ConnectionForcefullyClosedOnNewConnection",
	CodeCredentialOperationFailed:    "CredentialOperationFailed",
	CodeHubNotFound:                  "IotHubNotFound",
	CodeUnauthorizedAccess:           "IotHubUnauthorizedAccess",
	CodeUnauthorized:                 "IotHubUnauthorized",
	CodeQuotaExceeded:                "IotHubQuotaExceeded",
	CodeDeviceMaximumQueueDepth:      "DeviceMaximumQueueDepthExceeded",
	CodeDeviceNotFound:               "DeviceNotFound",
	CodeModuleNotFound:               "ModuleNotFound",
	CodeDeviceNotOnline:              "DeviceNotOnline",
	CodeDeviceConnectionClosed:       "DeviceConnectionClosedRemotely",
	CodeRequestTimeout:               "RequestTimeout",
	CodeDeviceAlreadyExists:          "DeviceAlreadyExists",
	CodeLinkCreationConflict:         "LinkCreationConflict",
	CodeCredentialOperationPending:   "CredentialOperationPending",
	CodeCredentialOperationActive:    "CredentialOperationActive",
	CodeModuleAlreadyExistsOnDevice:  "ModuleAlreadyExistsOnDevice",
	CodePreconditionFailed:           "PreconditionFailed",
	CodeDeviceMessageLockLost:        "DeviceMessageLockLost",
	CodeCredentialPreconditionFailed: "CredentialManagementPreconditionFailed",
	CodeMessageTooLarge:              "MessageTooLarge",
	CodeTooManyDevices:               "TooManyDevices",
	CodeTooManyModulesOnDevice:       "TooManyModulesOnDevice",
	CodeThrottled:                    "ThrottlingException",
	CodeThrottleBacklogLimitExceeded: "ThrottleBacklogLimitExceeded",
	CodeServerError:                  "ServerError",
	CodeServiceUnavailable:           "ServiceUnavailable",
	CodeBadDeviceResponse:            "BadDeviceResponse",
	CodeGatewayTimeout:               "GatewayTimeout",
	CodeHubAlreadyExists:             "HubAlreadyExists",
	CodePolicyAlreadyExists:          "PolicyAlreadyExists",
	CodeNoSuchHub:                    "HubNotFound",
	CodeNoSuchPolicy:                 "PolicyNotFound",
	CodeNoSuchConsumerGroup:          "ConsumerGroupNotFound",
	CodeNoSuchPartition:              "PartitionNotFound",
	CodeNoSuchAuthority:              "CertificateAuthorityNotFound",
	CodeReaderDisplaced:              "ReaderDisplaced",
	CodeReaderLimit:                  "ReaderLimitExceeded",
	CodeNotFound:                     "NotFound",
	CodeMethodNotAllowed:             "MethodNotAllowed",
}

// String returns the symbolic name that travels in the iothub-errorcode header, e.g. "DeviceNotFound".
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("Error%d", int(c))
}

// CodeFromName returns the code with that symbolic name, and false when the hub does not know it.
func CodeFromName(name string) (Code, bool) {
	for code, n := range codeNames {
		if n == name {
			return code, true
		}
	}
	return 0, false
}

// HTTPStatus returns the status code that carries c over HTTPS.
func (c Code) HTTPStatus() int { return int(c) / 1000 }

// Error is the one error type that crosses packages. Front ends map Code to their wire and send Message; Err, the
// cause, is logged and never sent.
type Error struct {
	Code     Code
	Op       string   // where it happened, e.g. "hub.CreateDevice"; added once per layer
	Identity Identity // the subject, if any
	Message  string   // what was wrong, for the peer; holds no secret and no ';' (SDKs split at it)
	Err      error    // cause; stays on the server
}

// Errorf makes an Error with a code and a text for the peer.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error from a cause that the peer must not see.
func Wrap(code Code, op string, cause error) *Error {
	return &Error{Code: code, Op: op, Err: cause}
}

func (e *Error) Error() string {
	text := e.Code.String()
	if e.Op != "" {
		text = e.Op + ": " + text
	}
	if e.Identity != (Identity{}) {
		text += " (" + e.Identity.String() + ")"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first Error in err's chain, and CodeServerError when there is none: an error without
// a code is our own bug or a failing disk, and the peer may retry.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeServerError
}
