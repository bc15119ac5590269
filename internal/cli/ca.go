package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/pki"
	"github.com/hubward/hubward/service"
)

// caCommands is what the commands below ca share.
type caCommands struct{ oneHubCommands }

func newCACommand(env Env) *cobra.Command {
	cmd := newGroup("ca", "Manage the certificate authorities that let devices in", "")
	c := &caCommands{}
	c.addFlags(env, cmd)
	cmd.AddCommand(c.create(), c.list(), c.show(), c.verify(), c.disable("disable", true), c.disable("enable", false), c.delete(), c.issuer(), c.issue())
	return cmd
}

func (a *caCommands) create() *cobra.Command {
	var certificate, out string
	var verified, replace bool
	validity := durationFlag(authorityLife)
	cmd := &cobra.Command{
		Use:   "create NAME [--certificate FILE [--verified] [--replace]] [--out FOLDER] [--validity DURATION] [--hub NAME]",
		Short: "Register a certificate authority",
		Long: `Register a certificate authority. Devices and modules whose authentication type is certificateAuthority log in with a certificate
that it, or an authority below it, has issued for their id.

With --certificate it is an authority of your own, a root or one below a root. It lets nobody in until you have proven that you
hold its key (ca verify), or vouch for that with --verified. --replace puts the certificate in the place of that of an authority
that is there.

Without --certificate the command makes an authority, for tests and small fleets: NAME.pem and NAME-key.pem, with which
device create --x509-ca NAME.pem --x509-key NAME-key.pem signs. Keep the key safe: who has it can be any device.`,
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			made := certificate == ""
			if made && (verified || replace) {
				return usagef(cmd, "--verified and --replace are for an authority that is there: give its --certificate")
			}
			if !made && (cmd.Flags().Changed("out") || cmd.Flags().Changed("validity")) {
				return usagef(cmd, "--out and --validity are for an authority that the command makes: leave --certificate out")
			}
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				if made {
					return a.make(cmd.Context(), c, hub, args[0], out, time.Duration(validity))
				}
				text, err := readPEM(certificate)
				if err != nil {
					return err
				}
				cert, err := pki.ParseCertificate(text)
				if err != nil {
					return fmt.Errorf("%s: %w", certificate, err)
				}
				n := service.NewCertificateAuthority{Name: args[0], Certificate: string(pki.EncodeCertificates(cert)), Verified: verified}
				if replace {
					n.ETag = service.AnyETag
				}
				registered, err := c.CreateCertificateAuthority(cmd.Context(), hub, n)
				if err != nil {
					return err
				}
				return a.printOne(registered)
			})
		},
	}
	cmd.Flags().StringVar(&certificate, "certificate", "", "`file` with the authority's certificate, PEM or DER")
	cmd.Flags().BoolVar(&verified, "verified", false, "vouch for it: it lets devices in at once")
	cmd.Flags().BoolVar(&replace, "replace", false, "put the certificate in the place of that of the authority NAME")
	cmd.Flags().StringVar(&out, "out", ".", "`folder` that the files of a new authority go to")
	cmd.Flags().Var(&validity, "validity", "how long a new authority is valid")
	return cmd
}

// make makes an authority, writes its files, and registers it.
func (a *caCommands) make(ctx context.Context, c *service.Client, hub, name, folder string, validity time.Duration) error {
	authority, err := pki.MakeAuthority(name, time.Now(), validity, rand.Reader)
	if err != nil {
		return err
	}
	files := filesFor(folder, name)
	if err := files.write(authority.Key, authority.Certificate); err != nil {
		return err
	}
	registered, err := c.CreateCertificateAuthority(ctx, hub, service.NewCertificateAuthority{
		Name: name, Certificate: string(pki.EncodeCertificates(authority.Certificate)), Verified: true,
	})
	if err := files.settle(err); err != nil {
		return err
	}
	return a.printOne(registered, field{"certificate", files.certificate}, field{"key", files.key})
}

func (a *caCommands) list() *cobra.Command {
	return &cobra.Command{
		Use: "list [--hub NAME]", Short: "List the authorities of a hub", Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				all, err := c.CertificateAuthorities(cmd.Context(), hub)
				if err != nil {
					return err
				}
				return a.print(all)
			})
		},
	}
}

func (a *caCommands) show() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME [--hub NAME]", Short: "Show an authority; -o json has its certificate too", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				authority, err := c.CertificateAuthority(cmd.Context(), hub, args[0])
				if err != nil {
					return err
				}
				return a.printOne(authority)
			})
		},
	}
}

func (a *caCommands) verify() *cobra.Command {
	var proof, key string
	cmd := &cobra.Command{
		Use: "verify NAME [--proof FILE | --key FILE] [--hub NAME]", Short: "Prove that you hold the key of an authority",
		Long: `Prove that you hold the key of an authority: from then on it lets devices in.

Without a flag the command has the hub make a new verification code, and prints it. Have a certificate made with the code as its
common name, signed with the authority's key, and give it with --proof. With --key, where the authority's key is at hand, the
command does all of that.`,
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if proof != "" && key != "" {
				return usagef(cmd, "give --proof or --key, not both")
			}
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				ctx, name := cmd.Context(), args[0]
				var text []byte
				var err error
				switch {
				case proof != "":
					text, err = readProof(proof)
				case key != "":
					text, err = makeProof(ctx, c, hub, name, key)
				default:
					return a.printCode(ctx, c, hub, name)
				}
				if err != nil {
					return err
				}
				verified, err := c.VerifyCertificateAuthority(ctx, hub, name, string(text))
				if err != nil {
					return err
				}
				return a.printOne(verified)
			})
		},
	}
	cmd.Flags().StringVar(&proof, "proof", "", "`file` with the proof, PEM or DER")
	cmd.Flags().StringVar(&key, "key", "", "PEM `file` with the authority's key, which does not leave this machine")
	return cmd
}

func readProof(file string) ([]byte, error) {
	text, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	cert, err := pki.ParseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return pki.EncodeCertificates(cert), nil
}

// makeProof signs a new verification code.
func makeProof(ctx context.Context, c *service.Client, hub, name, keyFile string) ([]byte, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	coded, err := c.CreateVerificationCode(ctx, hub, name)
	if err != nil {
		return nil, err
	}
	cert, err := pki.ParseCertificate([]byte(coded.Certificate))
	if err != nil {
		return nil, err
	}
	authority, err := pki.NewAuthority(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	proof, err := authority.Prove(coded.VerificationCode, time.Now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return pki.EncodeCertificates(proof), nil
}

// printCode prints a new verification code alone, or {"verificationCode": …}.
func (a *caCommands) printCode(ctx context.Context, c *service.Client, hub, name string) error {
	coded, err := c.CreateVerificationCode(ctx, hub, name)
	if err != nil {
		return err
	}
	if a.out.json {
		return writeJSON(a.env.Stdout, map[string]string{"verificationCode": coded.VerificationCode})
	}
	_, err = fmt.Fprintln(a.env.Stdout, coded.VerificationCode)
	return err
}

func (a *caCommands) disable(verb string, disabled bool) *cobra.Command {
	short := "Let nobody in any more by an authority; ends the connections that came by it"
	if !disabled {
		short = "Let devices in again by an authority that was disabled"
	}
	return &cobra.Command{
		Use: verb + " NAME [--hub NAME]", Short: short, Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				changed, err := c.DisableCertificateAuthority(cmd.Context(), hub, args[0], disabled)
				if err != nil {
					return err
				}
				return a.printOne(changed)
			})
		},
	}
}

func (a *caCommands) delete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME [--hub NAME]", Short: "Delete an authority; ends the connections that came by it", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withHub(cmd, func(c *service.Client, hub string) error {
				if err := c.DeleteCertificateAuthority(cmd.Context(), hub, args[0], service.AnyETag); err != nil {
					return err
				}
				return printDeleted(a.env, a.out, "certificate authority", "name", args[0])
			})
		},
	}
}

// state says in a word whether an authority lets devices in.
func state(a *hubward.CertificateAuthority) string {
	switch {
	case a.Disabled:
		return "disabled"
	case !a.Verified:
		return "unverified"
	}
	return "enabled"
}

func (a *caCommands) print(all []hubward.CertificateAuthority) error {
	var rows [][]string
	for i := range all {
		one := &all[i]
		if a.out.json {
			if err := writeJSON(a.env.Stdout, one); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{one.Name, state(one), one.Expiry.Format(time.DateOnly), one.Subject})
	}
	if a.out.json {
		return nil
	}
	return writeTable(a.env.Stdout, []string{"AUTHORITY", "STATE", "EXPIRY", "SUBJECT"}, rows)
}

// printOne prints all of an authority but its certificate, which JSON has too, and more behind it.
func (a *caCommands) printOne(one *hubward.CertificateAuthority, more ...field) error {
	if a.out.json {
		return writeJSON(a.env.Stdout, one)
	}
	return writeFields(a.env.Stdout, append([]field{
		{"authority", one.Name},
		{"state", state(one)},
		{"subject", one.Subject},
		{"thumbprint", one.Thumbprint},
		{"expiry", shortTime(one.Expiry.Time)},
		{"created", shortTime(one.Created.Time)},
		{"updated", shortTime(one.Updated.Time)},
		{"verification code", one.VerificationCode},
		{"etag", one.ETag},
	}, more...))
}
