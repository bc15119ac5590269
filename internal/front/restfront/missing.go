package restfront

import (
	"strings"

	"github.com/hubward/hubward"
)

// feature is a part of IoT Hub that this hub does not have yet, with the paths that lead to it.
type feature struct {
	name    string
	methods string   // of the calls, separated by spaces; empty: all
	pattern []string // as in route; rest at the end stands for any segments, also none
}

// rest stands at the end of a feature's pattern.
const rest = "..."

// missing is the table of calls that IoT Hub has and this hub has not. The first row that fits counts. A call becomes a
// row of routes when it is made; what is left of its row here still answers for its neighbours.
//
// Source: learn.microsoft.com/rest/api/iothub/service; learn.microsoft.com/rest/api/iothub/device.
func missing() []feature {
	row := func(name, methods, pattern string) feature {
		return feature{name: name, methods: methods, pattern: strings.Split(pattern, "/")}
	}
	return []feature{
		row("configurations", "", "devices/{}/applyConfigurationContent"),
		row("file uploads", "", "devices/{}/files/..."),
		row("configurations", "", "configurations/..."),
		row("jobs", "", "jobs/..."),
		row("digital twins", "", "digitaltwins/..."),
	}
}

// missingFeature refuses a call of a feature that the cloud service has and this hub has not; nil: it is none of these.
// It asks nobody who they are: the answer tells nothing of the hub, and a device, whose token is no service's, gets it too.
// SDKs go by the code: a 404 would read as an unknown device, and one of 500 and above as worth another try.
func (c *call) missingFeature(method string) error {
	for i := range c.server.missing {
		f := &c.server.missing[i]
		if f.fits(method, c.path) {
			return hubward.Errorf(hubward.CodeInvalidOperation, "this hub does not have %s yet", f.name)
		}
	}
	return nil
}

func (f *feature) fits(method string, segments []string) bool {
	if f.methods != "" && !strings.Contains(" "+f.methods+" ", " "+method+" ") {
		return false
	}
	pattern := f.pattern
	if last := len(pattern) - 1; pattern[last] == rest && len(segments) >= last {
		pattern, segments = pattern[:last], segments[:last]
	}
	_, ok := match(pattern, segments)
	return ok
}
