package mqttfront

import (
	"net/url"
	"strings"

	"github.com/hubward/hubward"
)

// userName is what an MQTT user name says.
type userName struct {
	host       string
	identity   hubward.Identity
	apiVersion string
	clientType string // DeviceClientType: free text of the SDK
	modelID    string
	chain      string // auth-chain: how the identity is below the Edge hub that logs in for it
}

// parseUserName takes a user name apart: host/device[/module][/query], where the query may begin with '?'. A query
// is a last segment that begins with '?' or contains "api-version="; an old form has a second one. Ids stand raw and
// may hold a '?' of their own.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; the old form and auth-chain: MqttUsernameParser.cs of Azure/iotedge.
func parseUserName(user string) (userName, error) {
	segments := strings.Split(user, "/")
	first := len(segments)
	for i := 2; i < len(segments); i++ {
		if strings.HasPrefix(segments[i], "?") || strings.Contains(segments[i], "api-version=") {
			first = i
			break
		}
	}
	u := userName{}
	path, query := segments[:first], strings.Join(segments[first:], "/")
	if n := len(path); n > 2 && path[n-1] == "" {
		path = path[:n-1] // "host/device/" without a query
	}
	switch len(path) {
	case 2:
		u.host, u.identity.Device = path[0], path[1]
	case 3:
		u.host, u.identity.Device, u.identity.Module = path[0], path[1], path[2]
	default:
		return u, errUserName
	}
	if u.host == "" || u.identity.Device == "" || len(path) == 3 && u.identity.Module == "" {
		return u, errUserName
	}
	u.readQuery(strings.TrimPrefix(query, "?"))
	return u, nil
}

var errUserName = hubward.Errorf(hubward.CodeUnauthorizedAccess, "the user name does not read host/device[/module]/?api-version=…")

// readQuery takes the known keys; the first of a repeated one counts. Node leaves the model id raw, so ';' is an
// ordinary character here.
func (u *userName) readQuery(query string) {
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		var field *string
		switch name {
		case "api-version":
			field = &u.apiVersion
		case "DeviceClientType":
			field = &u.clientType
		case "model-id":
			field = &u.modelID
		case "auth-chain":
			field = &u.chain
		default:
			continue
		}
		if *field == "" {
			*field = value
		}
	}
}
