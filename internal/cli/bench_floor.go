package cli

import (
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/bench"
)

func newBenchFloorCommand(env Env) *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "floor [--mqtts ADDRESS]",
		Short: "Run a server that decrypts, parses, answers and keeps nothing",
		Long: `Answer MQTT over TLS without storing anything: the floor of what a Go server spends per message, to compare a hub
with by bench d2c --floor ADDRESS. It believes every client; it listens on loopback unless told otherwise.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
	}
	cmd.Flags().StringVar(&address, "mqtts", "127.0.0.1:2884", "`address` to listen on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "mqtts  %s\npid    %d\nready\n", l.Addr(), os.Getpid())
		return bench.ServeFloor(cmd.Context(), l)
	}
	return cmd
}
