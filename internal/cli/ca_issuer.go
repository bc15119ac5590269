package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func (a *caCommands) issuer() *cobra.Command {
	cmd := newGroup("issuer", "Have the hub issue certificates to its devices itself", `Have the hub issue certificates to its devices itself, from an authority of its own, at their own request over MQTT or at yours
(ca issue). That is off until it is enabled.`)
	cmd.AddCommand(a.issuerEnable(), a.issuerShow(), a.issuerDisable(), a.issuerDelete())
	return cmd
}

func (a *caCommands) issuerEnable() *cobra.Command {
	var validity durationFlag
	var keys []string
	cmd := &cobra.Command{
		Use: "enable [--validity DURATION] [--keys KIND,...] [--hub NAME]", Short: "Issue certificates; makes the hub's authority the first time",
		Long: `Issue certificates. The first time, the hub makes its authority: a root, and one below it that signs; both are made anew in time.
A flag that is left out leaves what is there: at first 90 days, and all kinds of keys.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			enabled := true
			change := service.CertificateIssuerChange{Enabled: &enabled, Validity: time.Duration(validity)}
			for _, kind := range keys {
				change.Keys = append(change.Keys, strings.TrimSpace(kind))
			}
			return a.changeIssuer(cmd, change)
		},
	}
	cmd.Flags().Var(&validity, "validity", "how long a certificate is valid, 1h to 365d")
	cmd.Flags().StringSliceVar(&keys, "keys", nil, "kinds of `keys` that requests may have: ec-p256, ec-p384, ec-p521, rsa-2048, rsa-3072, rsa-4096")
	return cmd
}

func (a *caCommands) issuerDisable() *cobra.Command {
	return &cobra.Command{
		Use: "disable [--hub NAME]", Short: "Issue no certificates any more; those that were issued stay good", Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.changeIssuer(cmd, service.CertificateIssuerChange{Enabled: new(bool)})
		},
	}
}

func (a *caCommands) changeIssuer(cmd *cobra.Command, change service.CertificateIssuerChange) error {
	return a.withHub(cmd, func(c *service.Client, hub string) error {
		issuer, err := c.UpdateCertificateIssuer(cmd.Context(), hub, change)
		if err != nil {
			return err
		}
		return a.printIssuer(issuer)
	})
}

func (a *caCommands) issuerShow() *cobra.Command {
	return &cobra.Command{
		Use: "show [--hub NAME]", Short: "Show how the hub issues; -o json has the authority's certificates too", Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				issuer, err := c.CertificateIssuer(cmd.Context(), hub)
				if err != nil {
					return err
				}
				return a.printIssuer(issuer)
			})
		},
	}
}

func (a *caCommands) issuerDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete [--hub NAME]", Short: "Forget the hub's authority; ends the connections of all that it has issued",
		Long: `Forget the hub's authority with its keys. All certificates that it has issued are good for nothing from then on, also when it is
enabled again: that makes another authority. Connections that came by them end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				if err := c.DeleteCertificateIssuer(cmd.Context(), hub); err != nil {
					return err
				}
				return printDeleted(a.env, a.out, "certificate issuer", "hub", hub)
			})
		},
	}
}

func (a *caCommands) printIssuer(i *hubward.CertificateIssuer) error {
	if a.out.json {
		return writeJSON(a.env.Stdout, i)
	}
	state, expiry := "disabled", ""
	if i.Enabled {
		state = "enabled"
	}
	if i.Certificate != "" {
		expiry = shortTime(i.Expiry.Time)
	}
	return writeFields(a.env.Stdout, []field{
		{"state", state}, {"validity", i.Validity}, {"keys", strings.Join(i.Keys, ", ")}, {"authority until", expiry},
	})
}

func (a *caCommands) issue() *cobra.Command {
	var csr, out string
	cmd := &cobra.Command{
		Use: "issue ID --csr FILE [--out FILE] [--hub NAME]", Short: "Have the hub issue a certificate to a device",
		Long: `Have the hub issue a certificate to a device, for a signing request (PKCS #10, PEM or DER) with the device's id as its common name.
It prints the certificates in PEM: the device's, the one that has signed it, and the root. The hub has to issue certificates: see
ca issuer enable.

A device that has keys or a thumbprint may log in with its certificate from then on, which ends them.`,
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if csr == "" {
				return usagef(cmd, "give the signing request with --csr")
			}
			text, err := readSigningRequest(csr)
			if err != nil {
				return err
			}
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				issued, err := c.IssueCertificate(cmd.Context(), hub, args[0], text)
				if err != nil {
					return err
				}
				return a.printIssued(issued, out)
			})
		},
	}
	cmd.Flags().StringVar(&csr, "csr", "", "`file` with the signing request, PEM or DER")
	cmd.Flags().StringVar(&out, "out", "", "`file` for the certificates, which is not there yet (default: they are printed)")
	return cmd
}

func (a *caCommands) printIssued(issued *hubward.IssuedCertificate, out string) error {
	if out != "" {
		if err := writeNew(out, []byte(issued.Certificates), 0o644); err != nil {
			return err
		}
	}
	switch {
	case a.out.json:
		return writeJSON(a.env.Stdout, issued)
	case out != "":
		return writeFields(a.env.Stdout, []field{{"certificate", out}, {"expiry", shortTime(issued.Expiry.Time)}})
	}
	_, err := fmt.Fprint(a.env.Stdout, issued.Certificates)
	return err
}
