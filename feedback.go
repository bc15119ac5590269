package hubward

// Ack says which outcomes of a cloud-to-device message its sender wants to hear of.
type Ack string

// The acks. An empty Ack means AckNone.
const (
	AckNone     Ack = "none"
	AckPositive Ack = "positive" // that the device completed it
	AckNegative Ack = "negative" // that it will not
	AckFull     Ack = "full"     // both
)

// FeedbackStatus is the outcome of a cloud-to-device message.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d, message feedback.
type FeedbackStatus string

// The outcomes.
const (
	FeedbackSuccess               FeedbackStatus = "Success"
	FeedbackExpired               FeedbackStatus = "Expired"
	FeedbackDeliveryCountExceeded FeedbackStatus = "DeliveryCountExceeded"
	FeedbackRejected              FeedbackStatus = "Rejected"
	FeedbackPurged                FeedbackStatus = "Purged"
)

// Feedback is one record of a feedback message.
type Feedback struct {
	OriginalMessageID  string         `json:"originalMessageId"`
	DeviceGenerationID string         `json:"deviceGenerationId"`
	DeviceID           string         `json:"deviceId"`
	EnqueuedTime       Time           `json:"enqueuedTimeUtc"` // of the outcome
	StatusCode         FeedbackStatus `json:"statusCode"`
	Description        string         `json:"description"`
}
