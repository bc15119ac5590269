package cli

import (
	"github.com/spf13/cobra"

	"github.com/hubward/hubward/service"
)

// consumerGroupCommands is what the commands below consumer-group share.
type consumerGroupCommands struct{ oneHubCommands }

func newConsumerGroupCommand(env Env) *cobra.Command {
	cmd := newGroup("consumer-group", "Manage the consumer groups of a hub",
		"Manage the consumer groups of a hub. Programs that read telemetry independently of each other use a group each:\n"+
			"of a partition and a group there are up to five readers, or one exclusive one.")
	g := &consumerGroupCommands{}
	g.addFlags(env, cmd)
	cmd.AddCommand(g.list(), g.create(), g.delete())
	return cmd
}

func (g *consumerGroupCommands) list() *cobra.Command {
	return &cobra.Command{
		Use: "list [--hub NAME]", Short: "List the consumer groups of a hub", Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.withHub(cmd, func(c *service.Client, hub string) error {
				groups, err := c.ConsumerGroups(cmd.Context(), hub)
				if err != nil {
					return err
				}
				return g.print(groups...)
			})
		},
	}
}

func (g *consumerGroupCommands) create() *cobra.Command {
	return &cobra.Command{
		Use: "create NAME [--hub NAME]", Short: "Make a consumer group, unless there is one of that name",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withHub(cmd, func(c *service.Client, hub string) error {
				group, err := c.CreateConsumerGroup(cmd.Context(), hub, args[0])
				if err != nil {
					return err
				}
				return g.print(*group)
			})
		},
	}
}

func (g *consumerGroupCommands) delete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME [--hub NAME]", Short: "Delete a consumer group and disconnect its readers",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withHub(cmd, func(c *service.Client, hub string) error {
				if err := c.DeleteConsumerGroup(cmd.Context(), hub, args[0]); err != nil {
					return err
				}
				return printDeleted(g.env, g.out, "consumer group", "name", args[0])
			})
		},
	}
}

func (g *consumerGroupCommands) print(groups ...service.ConsumerGroup) error {
	var rows [][]string
	for _, group := range groups {
		if g.out.json {
			if err := writeJSON(g.env.Stdout, group); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{group.Name})
	}
	if g.out.json {
		return nil
	}
	return writeTable(g.env.Stdout, []string{"CONSUMER GROUP"}, rows)
}
