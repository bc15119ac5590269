package sas_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hubward/hubward/sas"
)

func TestParseConnectionString_kinds(t *testing.T) {
	rows := []struct {
		text string
		want sas.ConnectionString
	}{
		{"HostName=hub.example;SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5==",
			sas.ConnectionString{HostName: "hub.example", SharedAccessKeyName: "iothubowner", SharedAccessKey: "a2V5=="}},
		{"HostName=hub.example;GatewayHostName=edge;DeviceId=d=1;ModuleId=m1;SharedAccessKey=a2V5",
			sas.ConnectionString{HostName: "hub.example", GatewayHostName: "edge", DeviceID: "d=1", ModuleID: "m1", SharedAccessKey: "a2V5"}},
		{"HostName=hub:8883;DeviceId=d1;SharedAccessSignature=SharedAccessSignature sr=hub&sig=AA%3D&se=1",
			sas.ConnectionString{HostName: "hub:8883", DeviceID: "d1", SharedAccessSignature: "SharedAccessSignature sr=hub&sig=AA%3D&se=1"}},
		{"HostName=hub;DeviceId=d1;x509=true", sas.ConnectionString{HostName: "hub", DeviceID: "d1", X509: true}},
		{"Endpoint=sb://localhost/;SharedAccessKeyName=service;SharedAccessKey=a2V5;EntityPath=hubward",
			sas.ConnectionString{Endpoint: "sb://localhost/", SharedAccessKeyName: "service", SharedAccessKey: "a2V5", EntityPath: "hubward"}},
	}
	for _, row := range rows {
		got, err := sas.ParseConnectionString(row.text)
		if err != nil {
			t.Errorf("%s: %v", row.text, err)
			continue
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.text, diff)
		}
		if got.String() != row.text {
			t.Errorf("written back as %s, want %s", got, row.text)
		}
	}
}

func TestParseConnectionString_isLenient(t *testing.T) {
	got, err := sas.ParseConnectionString(" hostname=hub;;deviceID=d1;X509=TRUE;Later=x; \n")
	want := sas.ConnectionString{HostName: "hub", DeviceID: "d1", X509: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestParseConnectionString_malformed(t *testing.T) {
	rows := []struct{ name, text, want string }{
		{"empty", "", "names no HostName"},
		{"host empty", "HostName=;DeviceId=d1", "names no HostName"},
		{"no host", "DeviceId=d1;SharedAccessKey=c2VjcmV0", "names no HostName"},
		{"no equals sign", "HostName=hub;c2VjcmV0", "no '='"},
		{"twice", "HostName=hub;SharedAccessKey=c2VjcmV0;sharedaccesskey=c2VjcmV0", "given twice"},
		{"unknown name twice", "HostName=hub;c2VjcmV0==;c2VjcmV0==", "given twice"},
		{"too long", "HostName=" + strings.Repeat("a", sas.MaxConnectionStringLength), "longer than"},
	}
	for _, row := range rows {
		_, err := sas.ParseConnectionString(row.text)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v; want one that says %q", row.name, err, row.want)
		} else if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error shows a secret: %v", row.name, err)
		}
	}
}

func FuzzParseConnectionString(f *testing.F) {
	f.Add("HostName=hub.example;DeviceId=d1;SharedAccessKey=a2V5==")
	f.Add("Endpoint=sb://localhost/;SharedAccessKeyName=service;SharedAccessKey=a2V5;EntityPath=hubward")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := sas.ParseConnectionString(text)
		if err != nil {
			return
		}
		second, err := sas.ParseConnectionString(first.String())
		if err != nil || first != second {
			t.Fatalf("%+v became %+v: %v", first, second, err)
		}
	})
}
