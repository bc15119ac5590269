package restfront

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/hubward/hubward"
)

// route is one row of the table of calls.
type route struct {
	method  string
	pattern []string          // a keyword, compared without case, or param
	own     bool              // a call of Hubward's own, which needs no api-version
	auth    func(*call) error // finds out who calls
	handle  func(*call) error
}

// path is the pattern as metrics show it.
func (rt *route) path() string { return "/" + strings.Join(rt.pattern, "/") }

// param stands for one segment that the handler gets, unescaped, as c.params[i].
const param = "{}"

// routes is the table of calls. What each of them needs a policy to permit, the hub knows.
//
// Source: learn.microsoft.com/rest/api/iothub/service; learn.microsoft.com/rest/api/iothub/device. Sending a message over
// HTTPS: Azure/azure-iot-explorer.
func routes() []route {
	azure := func(method, pattern string, handle func(*call) error) route {
		return route{method: method, pattern: strings.Split(pattern, "/"), auth: service, handle: handle}
	}
	device := func(method, pattern string, handle func(*call) error) route {
		return route{method: method, pattern: strings.Split("devices/{}/messages/"+pattern, "/"), auth: itself, handle: handle}
	}
	module := func(method, pattern string, auth, handle func(*call) error) route {
		return route{method: method, pattern: strings.Split("devices/{}/modules"+pattern, "/"), auth: auth, handle: handle}
	}
	own := func(method, pattern string, auth, handle func(*call) error) route {
		return route{method: method, pattern: strings.Split("$hubward/"+pattern, "/"), own: true, auth: auth, handle: handle}
	}
	return []route{
		azure("PUT", "devices/{}", putDevice),
		azure("GET", "devices/{}", getDevice),
		azure("DELETE", "devices/{}", deleteDevice),
		azure("GET", "devices", listDevices),
		azure("POST", "devices", bulkDevices),
		azure("POST", "devices/keys/regenerate", regenerateKeys),
		azure("POST", "devices/query", query),
		module("GET", "", serviceOrDevice, listModules),
		module("PUT", "/{}", serviceOrDevice, putModule),
		module("GET", "/{}", serviceOrDevice, getModule),
		module("DELETE", "/{}", serviceOrDevice, deleteModule),
		module("POST", "/{}/messages/events", moduleItself, sendTelemetry),
		module("GET", "/{}/devicesAndModulesInDeviceScope", moduleItself, scopeOfItself),
		module("GET", "/{}/deviceAndModuleInDeviceScope", moduleItself, identityInScope),
		module("POST", "/{}/devicesAndModulesInTargetDeviceScope", moduleItself, scopeOfTarget),
		module("POST", "/{}/getDeviceAndModuleOnBehalfOf", moduleItself, identityOnBehalfOf),
		azure("GET", "twins/{}", getTwin),
		azure("PATCH", "twins/{}", updateTwin),
		azure("PUT", "twins/{}", replaceTwin),
		azure("POST", "twins/{}/methods", invokeMethod),
		azure("GET", "twins/{}/modules/{}", getTwin),
		azure("PATCH", "twins/{}/modules/{}", updateTwin),
		azure("PUT", "twins/{}/modules/{}", replaceTwin),
		azure("POST", "twins/{}/modules/{}/methods", invokeMethod),
		azure("GET", "statistics/devices", registryStatistics),
		azure("GET", "statistics/service", serviceStatistics),
		azure("POST", "devices/{}/messages/deviceBound", sendC2D),
		azure("DELETE", "devices/{}/commands", purgeC2D),
		azure("GET", "messages/serviceBound/feedback", receiveFeedback),
		azure("DELETE", "messages/serviceBound/feedback/{}", completeFeedback),
		azure("POST", "messages/serviceBound/feedback/{}/abandon", abandonFeedback),
		device("POST", "events", sendTelemetry),
		device("GET", "deviceBound", receiveC2D),
		device("DELETE", "deviceBound/{}", completeC2D),
		device("POST", "deviceBound/{}/abandon", abandonC2D),
		own("GET", "hub", service, currentHub),
		own("GET", "devices", service, pageDevices),
		own("GET", "modules", service, pageModules),
		own("GET", "events", reader, streamEvents),
		own("GET", "hubs", management, listHubs),
		own("PUT", "hubs/{}", management, createHub),
		own("GET", "hubs/{}", management, getHub),
		own("PATCH", "hubs/{}", management, updateHub),
		own("DELETE", "hubs/{}", management, deleteHub),
		own("GET", "hubs/{}/policies", management, listPolicies),
		own("PUT", "hubs/{}/policies/{}", management, createPolicy),
		own("POST", "hubs/{}/policies/{}/regenerate", management, regeneratePolicyKey),
		own("DELETE", "hubs/{}/policies/{}", management, deletePolicy),
		own("GET", "hubs/{}/consumer-groups", management, listConsumerGroups),
		own("PUT", "hubs/{}/consumer-groups/{}", management, createConsumerGroup),
		own("DELETE", "hubs/{}/consumer-groups/{}", management, deleteConsumerGroup),
		own("GET", "hubs/{}/certificates", management, listCertificateAuthorities),
		own("GET", "hubs/{}/certificates/{}", management, getCertificateAuthority),
		own("PUT", "hubs/{}/certificates/{}", management, putCertificateAuthority),
		own("PATCH", "hubs/{}/certificates/{}", management, disableCertificateAuthority),
		own("DELETE", "hubs/{}/certificates/{}", management, deleteCertificateAuthority),
		own("POST", "hubs/{}/certificates/{}/generateVerificationCode", management, generateVerificationCode),
		own("POST", "hubs/{}/certificates/{}/verify", management, verifyCertificateAuthority),
		own("GET", "hubs/{}/issuer", management, getCertificateIssuer),
		own("PATCH", "hubs/{}/issuer", management, updateCertificateIssuer),
		own("DELETE", "hubs/{}/issuer", management, deleteCertificateIssuer),
		own("POST", "hubs/{}/devices/{}/certificates", registrar, issueCertificate),
	}
}

// route finds the row for the request and stores its parameters. Nothing is ever redirected or cleaned: clients read
// a redirect as an error, and an id may hold any of % # ? : $ and dots.
//
// Source: Azure/azure-iot-sdk-csharp RegistryManager.cs writes a trailing slash, Azure/azure-iot-explorer escapes the whole
// path.
func (c *call) route() (*route, error) {
	segments, whole, ok := splitPath(c.r.URL.EscapedPath())
	if !ok {
		return nil, hubward.Errorf(hubward.CodeFormatError, "the path is not percent-encoded")
	}
	c.path, c.wholePath = segments, whole
	method := effectiveMethod(c.r)
	var allowed []string
	for i := range c.server.routes {
		rt := &c.server.routes[i]
		params, ok := match(rt.pattern, segments)
		if !ok {
			continue
		}
		if rt.method == method {
			c.params = params
			return rt, nil
		}
		allowed = append(allowed, rt.method)
	}
	if err := c.missingFeature(method); err != nil {
		return nil, err
	}
	if len(allowed) == 0 {
		return nil, hubward.Errorf(hubward.CodeNotFound, "there is no such path")
	}
	c.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return nil, hubward.Errorf(hubward.CodeMethodNotAllowed, "the path has no method %.20q", method)
}

// effectiveMethod is the method that is meant: the Java SDK sends PATCH as POST with a header.
func effectiveMethod(r *http.Request) string {
	if r.Method == http.MethodPost && strings.EqualFold(r.Header.Get("X-HTTP-Method-Override"), http.MethodPatch) {
		return http.MethodPatch
	}
	return r.Method
}

// splitPath cuts an escaped path into segments and unescapes each one once. One trailing slash is dropped. A path that
// is escaped as a whole (/devices%2Fd1: IoT Explorer) is unescaped first and then cut; its segments are not unescaped
// again.
func splitPath(escaped string) (segments []string, whole, ok bool) {
	path := strings.TrimPrefix(escaped, "/")
	whole = !strings.Contains(strings.TrimSuffix(path, "/"), "/") && strings.Contains(strings.ToLower(path), "%2f")
	if whole {
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return nil, true, false
		}
		return strings.Split(strings.TrimSuffix(decoded, "/"), "/"), true, true
	}
	segments = strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s) // keeps '+', which ids may hold
		if err != nil {
			return nil, false, false
		}
		segments[i] = decoded
	}
	return segments, false, true
}

// match compares segments with a pattern and returns what stands for its parameters. A parameter is never empty.
func match(pattern, segments []string) ([]string, bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	var params []string
	for i, p := range pattern {
		if p == param && segments[i] != "" {
			params = append(params, segments[i])
		} else if !strings.EqualFold(p, segments[i]) || p == param {
			return nil, false
		}
	}
	return params, true
}
