package sas

import (
	"errors"
	"fmt"
	"strings"
)

// MaxConnectionStringLength bounds a connection string, in bytes.
const MaxConnectionStringLength = 8192

// ConnectionString is a connection string taken apart. Which fields are set depends on its kind:
//
//	HostName=…;SharedAccessKeyName=…;SharedAccessKey=…             a policy of the hub (service side)
//	HostName=…;DeviceId=…[;ModuleId=…];SharedAccessKey=…           a device or module
//	HostName=…;DeviceId=…;SharedAccessSignature=…                  a device with a ready token
//	HostName=…;DeviceId=…;x509=true                                a device with a certificate
//	Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…   the Event-Hubs-compatible endpoint
//
// GatewayHostName, where given, is the host to dial instead of HostName.
type ConnectionString struct {
	HostName              string
	GatewayHostName       string
	DeviceID              string
	ModuleID              string
	SharedAccessKeyName   string
	SharedAccessKey       string // base64
	SharedAccessSignature string
	X509                  bool
	Endpoint              string
	EntityPath            string
}

// ParseConnectionString takes a connection string apart. Names are compared without case; unknown names and space
// around parts are ignored; a repeated name, a part without '=', and a string with neither HostName nor Endpoint are
// errors. No error quotes a value, since values hold keys.
func ParseConnectionString(text string) (ConnectionString, error) {
	var cs ConnectionString
	if len(text) > MaxConnectionStringLength {
		return cs, fmt.Errorf("connection string: longer than %d bytes", MaxConnectionStringLength)
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return ConnectionString{}, errors.New("connection string: a part has no '='; parts look like HostName=hub.example and are joined by ';'")
		}
		lower := strings.ToLower(name)
		if seen[lower] {
			return ConnectionString{}, errors.New("connection string: " + shownName(lower) + " is given twice")
		}
		seen[lower] = true
		if field := cs.field(lower); field != nil {
			*field = value
		} else if lower == "x509" {
			cs.X509 = strings.EqualFold(value, "true")
		}
	}
	if cs.HostName == "" && cs.Endpoint == "" {
		return ConnectionString{}, errors.New("connection string: it names no HostName")
	}
	return cs, nil
}

// field returns where the text of the part with that lower-case name goes, or nil.
func (cs *ConnectionString) field(name string) *string {
	switch name {
	case "hostname":
		return &cs.HostName
	case "gatewayhostname":
		return &cs.GatewayHostName
	case "deviceid":
		return &cs.DeviceID
	case "moduleid":
		return &cs.ModuleID
	case "sharedaccesskeyname":
		return &cs.SharedAccessKeyName
	case "sharedaccesskey":
		return &cs.SharedAccessKey
	case "sharedaccesssignature":
		return &cs.SharedAccessSignature
	case "endpoint":
		return &cs.Endpoint
	case "entitypath":
		return &cs.EntityPath
	}
	return nil
}

// shownName returns name for an error text if it is one we know. Others are not shown: what stands before a '=' may
// be a piece of a key that was pasted wrongly.
func shownName(name string) string {
	if name == "x509" || new(ConnectionString).field(name) != nil {
		return name
	}
	return "a name"
}

// String joins the parts again. It holds the key: print it only where the user asked for it.
func (cs ConnectionString) String() string {
	var b strings.Builder
	add := func(name, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(name + "=" + value)
	}
	add("Endpoint", cs.Endpoint)
	add("HostName", cs.HostName)
	add("GatewayHostName", cs.GatewayHostName)
	add("DeviceId", cs.DeviceID)
	add("ModuleId", cs.ModuleID)
	add("SharedAccessKeyName", cs.SharedAccessKeyName)
	add("SharedAccessKey", cs.SharedAccessKey)
	add("SharedAccessSignature", cs.SharedAccessSignature)
	add("EntityPath", cs.EntityPath)
	if cs.X509 {
		add("x509", "true")
	}
	return b.String()
}
