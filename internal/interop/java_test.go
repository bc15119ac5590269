//go:build interop

package interop_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// dottedHost is a name of the hub under test that the Java SDKs take: they want a dot in it.
const dottedHost = "hubward.localhost"

// javaSDK is the family of the Java programs, with what make builds of them in folder work: each is a class of package
// journeys. The JVM is told to start fast rather than to get fast.
func javaSDK(work string) sdk {
	built := filepath.Join(work, "java")
	java, err := exec.LookPath("java")
	if err != nil {
		java = "java" // checkTools says that it is missing
	}
	return sdk{
		name: "java", command: java, ext: ".java", class: true, host: dottedHost, needs: []string{java, filepath.Join(built, "lib")},
		options: func() ([]string, error) {
			trust, err := javaTrust()
			return append(trust,
				"-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
				// What the clients log is on stderr, but for the one line that journeys.Events looks for only warnings.
				"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
				"-Dorg.slf4j.simpleLogger.log.com.azure.core.amqp.implementation.handler.ReceiveLinkHandler2=info",
				"-cp", filepath.Join(built, "*")+string(filepath.ListSeparator)+filepath.Join(built, "lib", "*"),
			), err
		},
	}
}

// className is the class of a program: of c2d_device journeys.C2dDevice.
func className(program string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(program, "_") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return "journeys." + name.String()
}

// javaTrust returns the options that make a JVM trust the hub, and resolve its names: both as docs/clients.md tells. The
// files are made once, and go with the hub's folder.
var javaTrust = sync.OnceValues(func() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	dir := filepath.Dir(hub.Data)
	store, hosts := filepath.Join(dir, "trust.p12"), filepath.Join(dir, "hosts")
	const password = "changeit" // it keeps nothing secret: what is in the file is a certificate
	make := exec.CommandContext(ctx, "keytool", "-importcert", "-noprompt", "-alias", "hubward", "-file", hub.CA(),
		"-keystore", store, "-storetype", "PKCS12", "-storepass", password)
	if out, err := make.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a trust store: %w\n%s", err, out)
	}
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost "+dottedHost+"\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"-Djavax.net.ssl.trustStore=" + store, "-Djavax.net.ssl.trustStorePassword=" + password,
		"-Djdk.net.hosts.file=" + hosts,
	}, nil
})
