package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// hubError is an error of work with a hub, with the means to find out more about it.
type hubError struct {
	err    error
	client *service.Client
	login  string
}

func (e *hubError) Error() string { return e.err.Error() }
func (e *hubError) Unwrap() error { return e.err }

// method is the name of the SDK's method that an error, or its cause, begins with, which says nothing to who has called a command.
var method = regexp.MustCompile(`(?m)(^|: )service(\.\w+)?: `)

// explain says what went wrong, why, and what to do.
func explain(ctx context.Context, err error) string {
	if interrupted := sayInterrupted(ctx, err); interrupted != err {
		return interrupted.Error()
	}
	text := method.ReplaceAllString(err.Error(), "$1")
	var h *hubError
	var e *hubward.Error
	if !errors.As(err, &h) || !errors.As(err, &e) {
		return text
	}
	if e.Code == hubward.CodeUnauthorizedAccess {
		return strings.TrimSuffix(text, ".") + ": " + h.explainRefusal(ctx, e)
	}
	if advice := advices[e.Code]; advice != "" {
		return strings.TrimSuffix(text, ".") + ": " + advice
	}
	return text
}

// advices say what to do about errors whose text does not.
var advices = map[hubward.Code]string{
	hubward.CodeHubNotFound:         "the hub there has another host name than the login: hubward hub list shows the names, --hostname of serve gives one",
	hubward.CodeDeviceNotFound:      "hubward device list shows the devices and their status, hubward device create registers one",
	hubward.CodeDeviceAlreadyExists: "hubward device update changes it",
	hubward.CodeNoSuchHub:           "hubward hub list shows the hubs",
	hubward.CodeNoSuchPolicy:        "hubward policy list shows the policies",
	hubward.CodeNoSuchConsumerGroup: "hubward consumer-group list shows them, hubward consumer-group create makes one",
	hubward.CodeHubAlreadyExists:    "hubward hub update changes it",
	hubward.CodePolicyAlreadyExists: "delete it first, or choose another name",
	hubward.CodeDeviceNotOnline:     "the device is not connected, or takes no methods: hubward device show tells which, --connect-timeout waits for it",
	hubward.CodeGatewayTimeout:      "it may have done what was asked; --timeout gives it longer",
	hubward.CodePreconditionFailed:  "it was changed meanwhile: look at it again, and at its etag",
	hubward.CodeThrottled:           "try again later",
	hubward.CodeServerError:         "the log of hubward serve says more",
}

// probeTimeout bounds the call that tells a wrong key from a missing permission.
const probeTimeout = 5 * time.Second

// explainRefusal says why a hub refuses a login, which the hub itself tells nobody: a call that every policy of a
// Hubward hub may make shows whether the key is the fault, or what the policy allows.
func (e *hubError) explainRefusal(ctx context.Context, refused *hubward.Error) string {
	cs, err := sas.ParseConnectionString(e.login)
	if err != nil {
		return err.Error()
	}
	policy := cs.SharedAccessKeyName
	if token, err := sas.Parse(cs.SharedAccessSignature); err == nil {
		policy = token.Policy
		if time.Now().After(token.Expiry) {
			return fmt.Sprintf("the token of the login ended at %s: make a new one, e.g. with hubward policy sas-token", shortTime(token.Expiry))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	switch hub, err := e.client.ThisHub(ctx); {
	case err == nil:
		return fmt.Sprintf("policy %s of hub %s may not do this, which takes %s: use the login of another policy, such as iothubowner; "+
			"hubward policy list shows what each of them may", policy, hub.Name, permissionFor(refused.Op))
	case hubward.CodeOf(err) == hubward.CodeUnauthorizedAccess:
		return fmt.Sprintf("%s does not accept the key of policy %s in the login: it may have been regenerated, or be the key of another hub. "+
			"The valid ones are in %s in the data folder of hubward serve; the clocks must agree, too", e.client.HostName(), policy, connectionFile)
	}
	return fmt.Sprintf("check the key of policy %s, what the policy may do, and the clock", policy)
}

// permissionFor names what a call of the service SDK takes, as the SDK's documentation does.
func permissionFor(op string) string {
	switch strings.TrimPrefix(op, "service.") {
	case "Device", "Devices", "AllDevices", "RegistryStatistics":
		return "RegistryRead"
	case "CreateDevice", "UpdateDevice", "DeleteDevice", "BulkDevices", "RegenerateDeviceKeys":
		return "RegistryWrite"
	case "Hub", "Hubs", "CreateHub", "UpdateHub", "DeleteHub":
		return "all permissions, of the first hub"
	case "Policies", "CreatePolicy", "RegeneratePolicyKey", "DeletePolicy", "ConsumerGroups", "CreateConsumerGroup", "DeleteConsumerGroup":
		return "all permissions"
	}
	return "ServiceConnect"
}

// explainDial says what to do when address, where a listener of the hub should be, cannot be reached. flag names the option
// that gives another one. It wraps err.
func explainDial(address, flag string, err error) error {
	var unknown x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	advice := ""
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is signed by an authority that is not trusted here: trust the hub's tls/ca.pem with --ca or %s: %w", address, envCA, err)
	case errors.As(err, &wrongHost):
		advice = "use a name that the certificate holds as HostName, or give the hub this one with --hostname"
	case errors.As(err, &record):
		advice = "nobody speaks TLS there: is it another listener's port? " + flag + " gives the right one"
	case errors.As(err, &dns):
		advice = "the host name is not known here: check it"
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "nothing listens there: start the hub, or give its address with " + flag
	default:
		advice = "is the hub there? " + flag + " gives another address"
	}
	return fmt.Errorf("no connection to %s (%w): %s", address, err, advice)
}
