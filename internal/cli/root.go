package cli

import "github.com/spf13/cobra"

// commands lists every command, in the order of the help page.
func commands(env Env) []*cobra.Command {
	return []*cobra.Command{
		newQuickstartCommand(env),
		newServeCommand(env),
		newBackupCommand(env),
		newRestoreCommand(env),
		newCheckCommand(env),
		newHubCommand(env),
		newPolicyCommand(env),
		newConsumerGroupCommand(env),
		newCACommand(env),
		newDeviceCommand(env),
		newModuleCommand(env),
		newSimulateCommand(env),
		newMonitorCommand(env),
		newC2DCommand(env),
		newFeedbackCommand(env),
		newTwinCommand(env),
		newMethodCommand(env),
		newBenchCommand(env),
		newCompletionCommand(env),
		newVersionCommand(env),
	}
}
