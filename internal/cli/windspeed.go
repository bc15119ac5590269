package cli

import (
	"encoding/json"
	"math"
	mathrand "math/rand/v2"
	"strconv"

	"github.com/hubward/hubward"
)

// alertSpeed is the wind speed, in metres per second, above which a message has windAlert=true.
const alertSpeed = 15

// windSpeedMessage makes message n of a run, with the members and properties of the tutorials. The run's id is the
// correlation id of its messages.
func windSpeedMessage(device, run string, n int) (*hubward.Message, error) {
	speed := math.Round((10+8*mathrand.Float64())*100) / 100
	body, err := json.Marshal(struct {
		DeviceID  string  `json:"deviceId"`
		WindSpeed float64 `json:"windSpeed"`
	}{device, speed})
	return &hubward.Message{
		MessageID:       run + "-" + strconv.Itoa(n),
		CorrelationID:   run,
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		Properties:      []hubward.Property{{Name: "windAlert", Value: strconv.FormatBool(speed > alertSpeed)}},
		Body:            body,
	}, err
}
