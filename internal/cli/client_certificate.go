package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

// clientCertificateFlags say with which certificate a command logs in as a device.
type clientCertificateFlags struct {
	x509  bool
	files certificateFiles
}

func (f *clientCertificateFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.x509, "x509", false, "log in by certificate: that in ID.pem, with the key in ID-key.pem, where device create --x509 puts them")
	flags.StringVar(&f.files.certificate, "certificate", "", "PEM `file` of the certificate to log in with, and of those between it and its authority")
	flags.StringVar(&f.files.key, "key", "", "PEM `file` with the key of --certificate")
}

// check returns what is wrong with the command line, or nil.
func (f *clientCertificateFlags) check(cmd *cobra.Command) error {
	if (f.files.certificate == "") != (f.files.key == "") {
		return usagef(cmd, "give both --certificate and --key")
	}
	return nil
}

// wanted reports whether the log-in is by certificate.
func (f *clientCertificateFlags) wanted() bool { return f.x509 || f.files.certificate != "" }

// use has options log in with the certificate in the files, as they are at each connect: they may be renewed meanwhile.
func (f *clientCertificateFlags) use(id hubward.Identity, options *device.Options) error {
	files := f.files
	if files.certificate == "" {
		files = filesFor(".", id.String())
	}
	options.GetClientCertificate = func(context.Context) (*tls.Certificate, error) {
		certificate, err := tls.LoadX509KeyPair(files.certificate, files.key)
		return &certificate, err
	}
	_, err := options.GetClientCertificate(context.Background())
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.files.certificate == "" && id.Module == "":
		return fmt.Errorf("there is no certificate of %s here (%w): hubward device create %s --x509 makes one, --certificate and --key name other files", id, err, id)
	case errors.Is(err, fs.ErrNotExist) && f.files.certificate == "":
		return fmt.Errorf("there is no certificate of %s here (%w): --certificate and --key name other files", id, err)
	case err != nil:
		return fmt.Errorf("the certificate %s with the key %s cannot be used: %w", files.certificate, files.key, err)
	}
	return nil
}
