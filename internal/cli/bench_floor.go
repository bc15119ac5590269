package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/bench"
)

// benchFloorFlags are the flags of bench floor.
type benchFloorFlags struct {
	mqtts, https     string
	certificate, key string
}

func newBenchFloorCommand(env Env) *cobra.Command {
	f := &benchFloorFlags{}
	cmd := &cobra.Command{
		Use:   "floor [--mqtts ADDRESS] [--https ADDRESS] [--tls-certificate FILE --tls-key FILE]",
		Short: "Run a server that decrypts, parses, answers and keeps nothing",
		Long: `Answer MQTT over TLS without storing anything: the floor of what a Go server spends per message, to compare a hub
with by bench d2c --floor ADDRESS. With --https it answers requests over HTTPS with their bodies as well, for bench method
--https-floor ADDRESS. It believes every client; it listens on loopback unless told otherwise.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.serve(cmd.Context(), env) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.mqtts, "mqtts", "127.0.0.1:2884", "`address` to listen on")
	flags.StringVar(&f.https, "https", "", "`address` to listen on for HTTPS (default: none)")
	flags.StringVar(&f.certificate, "tls-certificate", "", "PEM `file` of the certificate to show, with its chain; the hub's, say: tls/server.pem")
	flags.StringVar(&f.key, "tls-key", "", "PEM `file` with its key")
	return cmd
}

// serve serves until ctx ends, or one of the listeners does.
func (f *benchFloorFlags) serve(ctx context.Context, env Env) error {
	shown, err := f.shown()
	if err != nil {
		return err
	}
	mqtt, err := net.Listen("tcp", f.mqtts)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "mqtts  %s\n", mqtt.Addr())
	var web net.Listener
	if f.https != "" {
		if web, err = net.Listen("tcp", f.https); err != nil {
			mqtt.Close()
			return err
		}
		fmt.Fprintf(env.Stdout, "https  %s\n", web.Addr())
	}
	fmt.Fprintf(env.Stdout, "pid    %d\nready\n", os.Getpid())
	return bench.ServeFloors(ctx, mqtt, web, shown)
}

// shown is the certificate of the flags, nil without one.
func (f *benchFloorFlags) shown() (*tls.Certificate, error) {
	if f.certificate == "" && f.key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, fmt.Errorf("--tls-certificate, --tls-key: %w", err)
	}
	return &pair, nil
}
