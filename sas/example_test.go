package sas_test

import (
	"fmt"
	"time"

	"github.com/hubward/hubward/sas"
)

// A back end signs a token for a device that cannot keep a key, and the hub checks it.
func ExampleSign() {
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" // the device's primary key
	token, err := sas.Sign("localhost/devices/d1", key, "", time.Unix(1900000000, 0))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token)

	parsed, err := sas.Parse(token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(parsed.VerifyKey(key), parsed.Covers("devices", "d1"), parsed.Covers("devices", "d2"))
	// Output:
	// SharedAccessSignature sr=localhost%2Fdevices%2Fd1&sig=BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA%3D&se=1900000000
	// true true false
}

func ExampleParseConnectionString() {
	cs, err := sas.ParseConnectionString("HostName=localhost;DeviceId=MyFirstDevice;SharedAccessKey=a2V5")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cs.HostName, cs.DeviceID)
	// Output: localhost MyFirstDevice
}
