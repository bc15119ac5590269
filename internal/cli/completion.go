package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

const completionHelp = `Completion prints a script that completes hubward's commands, flags and values in a shell. Names of devices, hubs, policies
and consumer groups are asked of the hub of the login; when it does not answer within two seconds, or the duration that
HUBWARD_COMPLETION_TIMEOUT gives, none are offered.

bash needs the package bash-completion, 2.11 or later, loaded before (apt, dnf and pacman call it bash-completion, brew
bash-completion@2). In ~/.bashrc, or once for all users:

  source <(hubward completion bash)
  hubward completion bash > /etc/bash_completion.d/hubward

zsh needs its own completion system, which the first line turns on. In ~/.zshrc:

  autoload -Uz compinit && compinit
  source <(hubward completion zsh)

fish needs nothing more:

  hubward completion fish > ~/.config/fish/completions/hubward.fish

PowerShell, in the file that $PROFILE names:

  hubward completion powershell | Out-String | Invoke-Expression`

// bashAddition replaces a function of cobra's script that fails with "command not found" where bash-completion is missing.
const bashAddition = `
__hubward_init_completion()
{
    COMPREPLY=()
    if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        printf '\nhubward: completion needs the package bash-completion: install it and open a new shell\n' >&2
        return 1
    fi
    _get_comp_words_by_ref "$@" cur prev words cword
}
`

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
				if err := root.GenBashCompletionV2(env.Stdout, true); err != nil {
					return err
				}
				_, err := fmt.Fprint(env.Stdout, bashAddition)
				return err
			case "zsh":
				return root.GenZshCompletion(env.Stdout)
			case "fish":
				return root.GenFishCompletion(env.Stdout, true)
			}
			return root.GenPowerShellCompletionWithDesc(env.Stdout)
		},
	}
}
