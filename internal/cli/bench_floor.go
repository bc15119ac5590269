package cli

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/bench"
)

func newBenchFloorCommand(env Env) *cobra.Command {
	var mqtts, https string
	cmd := &cobra.Command{
		Use:   "floor [--mqtts ADDRESS] [--https ADDRESS]",
		Short: "Run a server that decrypts, parses, answers and keeps nothing",
		Long: `Answer MQTT over TLS without storing anything: the floor of what a Go server spends per message, to compare a hub
with by bench d2c --floor ADDRESS. With --https it answers requests over HTTPS with their bodies as well, for bench method
--https-floor ADDRESS. It believes every client; it listens on loopback unless told otherwise.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
	}
	cmd.Flags().StringVar(&mqtts, "mqtts", "127.0.0.1:2884", "`address` to listen on")
	cmd.Flags().StringVar(&https, "https", "", "`address` to listen on for HTTPS (default: none)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return serveFloor(cmd.Context(), env, mqtts, https) }
	return cmd
}

// serveFloor serves until ctx ends, or one of the listeners does.
func serveFloor(ctx context.Context, env Env, mqtts, https string) error {
	mqtt, err := net.Listen("tcp", mqtts)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "mqtts  %s\n", mqtt.Addr())
	var web net.Listener
	if https != "" {
		if web, err = net.Listen("tcp", https); err != nil {
			mqtt.Close()
			return err
		}
		fmt.Fprintf(env.Stdout, "https  %s\n", web.Addr())
	}
	fmt.Fprintf(env.Stdout, "pid    %d\nready\n", os.Getpid())
	return bench.ServeFloors(ctx, mqtt, web)
}
