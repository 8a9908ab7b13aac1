import type { Command } from 'commander';
import { didYouMean } from '../../common/suggest.ts';
import { UsageError } from '../failure.ts';

const EXAMPLES = `
Examples:
  dfs help
      all commands, a line each
  dfs help mount
      one command with its options and examples`;

/** In place of commander's own, which answers a misspelled command with the general help. */
export function addHelp(program: Command): void {
  program.helpCommand(false);
  program
    .command('help')
    .argument('[command]')
    .summary('what a command does, with examples')
    .description('Shows what a command does, its options, and two examples.')
    .addHelpText('after', EXAMPLES)
    .action((name: string | undefined) => {
      if (name === undefined) return program.outputHelp();
      const command = program.commands.find(
        (each) => each.name() === name || each.aliases().includes(name),
      );
      if (command !== undefined) return command.outputHelp();
      const known = program.commands.map((each) => each.name());
      throw new UsageError(`unknown command '${name}'${didYouMean(name, known)}; see dfs help`);
    });
}
