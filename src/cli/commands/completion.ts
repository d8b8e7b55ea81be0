import type { Define } from '../command-context.ts'
import { Argument } from 'commander'

const shells = ['bash', 'zsh', 'fish', 'powershell'] as const

/** `completion SHELL`: prints a script that asks the hidden command `complete` what may follow (see word-completion.ts). */
export const define: Define = (command) => {
  command
    .description('Prints a script that completes commands and options when you press Tab in your shell.')
    .addArgument(new Argument('<shell>', 'your shell').choices(shells))
    .addHelpText(
      'after',
      `
In bash it needs the package bash-completion, which most systems have.

Examples:
  source <(artifact-store completion bash)
  echo 'source <(artifact-store completion zsh)' >> ~/.zshrc
  artifact-store completion fish > ~/.config/fish/completions/artifact-store.fish`,
    )
    .action(async (shell: string) => {
      const { script } = await import('@bomb.sh/tab')
      script(shell, 'artifact-store', 'artifact-store')
    })
}
