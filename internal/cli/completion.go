package cli

import (
	"github.com/spf13/cobra"
)

const completionHelp = `Completion prints a script that completes hubward's commands and flags in a shell. Load it at the shell's start:

  bash:        source <(hubward completion bash)
  zsh:         source <(hubward completion zsh)
  fish:        hubward completion fish | source
  powershell:  hubward completion powershell | Out-String | Invoke-Expression`

func newCompletionCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Print a shell's completion script",
		Long:      completionHelp,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(env.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(env.Stdout)
			case "fish":
				return root.GenFishCompletion(env.Stdout, true)
			}
			return root.GenPowerShellCompletionWithDesc(env.Stdout)
		},
	}
}
